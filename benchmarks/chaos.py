"""Serving under steady load while versions change and what it depends on breaks: what fails, what is lost, for how long.

Real parts throughout: `python -m serving` with two workers, an MLflow server, a durable PostgreSQL; versions are promoted
and rolled back as `noria promote` and `noria rollback` do it. Apps send 200 requests a second with an API key over 16
connections, and account for every one. The table says for each fault how many requests failed, how many were refused (503,
where nothing could be recorded), how many were lost on the connections of a killed worker, how many predictions apps were
told, and how many of those are not in ops.predictions, or are there twice. The exit code is 1 where a promise was not kept.

    make bench NAME=chaos
    make bench NAME=chaos ARGS="--swaps 5 --rollbacks 2 --outage 5"
    make bench NAME=chaos ARGS="--only worker"
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # before this folder, whose serving.py is another one

from benchmarks.chaos_parts import moves, outages  # noqa: E402
from benchmarks.chaos_parts.bundles import Kind  # noqa: E402
from benchmarks.chaos_parts.outcome import Outcome, as_markdown, failed, print_head, print_row  # noqa: E402
from benchmarks.chaos_parts.stack import Server, Stack, stack  # noqa: E402


def main() -> None:
    """Try every fault, print the table."""
    options = arguments()
    outcomes: list[Outcome] = []
    print_head()
    with stack() as servers, Server(servers, "serving") as server:
        for name, fault in faults(servers, server, options):
            if options.only and options.only not in name:
                continue
            try:
                outcomes.append(fault())
            except Exception as error:  # what was broken may stay so; the next fault begins with everything there
                outcomes.append(failed(name, error))
                servers.postgres.start()
            print_row(outcomes[-1])
    if options.markdown:
        print(as_markdown(outcomes))
    raise SystemExit(any(outcome.complaints for outcome in outcomes) or not outcomes)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=100, help="promotions under load")
    parser.add_argument("--rollbacks", type=int, default=20, help="roll-backs under load")
    parser.add_argument("--outage", type=float, default=20.0, help="seconds that registry and PostgreSQL are down")
    parser.add_argument("--only", default="", help="faults with this in their name, such as worker")
    parser.add_argument("--markdown", action="store_true", help="print the table once more, in Markdown")
    return parser.parse_args()


def faults(servers: Stack, server: Server, options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Outcome]]]:
    """Every fault by name; each leaves everything whole."""
    yield "swaps", lambda: moves.swaps(servers, server, options.swaps)
    yield "rollbacks", lambda: moves.rollbacks(servers, server, options.rollbacks)
    yield "registry", lambda: outages.registry_down(servers, server, options.outage)
    yield "postgres", lambda: outages.postgres_down(servers, server, options.outage)
    yield "corrupt", lambda: moves.corrupt_bundle(servers, server)
    yield "worker", lambda: outages.worker_killed(servers, server)
    for kind in (Kind.NO_NUMBER, Kind.SLOW):
        yield f"challenger_{kind.name.lower()}", partial(moves.bad_challenger, servers, server, kind)
    yield "start_alone", lambda: outages.start_alone(servers)
    yield "journal_limit", lambda: outages.journal_full(servers)
    if os.geteuid() == 0:
        yield "disk", lambda: outages.disk_full(servers)
    else:
        print("the full disk is left out: a small disk of its own needs root", file=sys.stderr)


if __name__ == "__main__":
    main()
