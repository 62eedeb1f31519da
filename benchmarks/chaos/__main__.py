"""Serving under steady load while versions change and its dependencies break: what fails, what is lost, for how long.

Real parts throughout: `python -m serving` with two workers, an MLflow server, a durable PostgreSQL; versions are promoted
and rolled back as `noria promote` and `noria rollback` do it. Apps send 200 requests a second with an API key over 16
connections, and account for every one. The table says for each fault how many requests failed, how many were refused (503,
where nothing could be recorded), how many were lost on the connections of a killed worker, how many predictions were
acknowledged, and how many of those are not in ops.predictions, or are there twice. The exit code is 1 where a
guarantee was broken.

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

from benchmarks.chaos import outages, versions
from benchmarks.chaos.bundles import Behaviour
from benchmarks.chaos.outcome import FaultOutcome, as_markdown, failed, print_head, print_row
from benchmarks.chaos.serving_stack import ServingProcess, ServingStack, serving_stack


def main() -> None:
    """Try every fault, print the table."""
    options = arguments()
    outcomes: list[FaultOutcome] = []
    print_head()
    with serving_stack() as stack, ServingProcess(stack, "serving") as serving:
        for name, fault in faults(stack, serving, options):
            if options.only and options.only not in name:
                continue
            try:
                outcomes.append(fault())
            except Exception as error:  # the next fault needs a running PostgreSQL
                outcomes.append(failed(name, error))
                stack.servers.postgres.start()
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


def faults(
    stack: ServingStack, serving: ServingProcess, options: argparse.Namespace
) -> Iterator[tuple[str, Callable[[], FaultOutcome]]]:
    """Every fault by name; after each, all servers run again."""
    yield "swaps", lambda: versions.swaps(stack, serving, options.swaps)
    yield "rollbacks", lambda: versions.rollbacks(stack, serving, options.rollbacks)
    yield "registry", lambda: outages.registry_down(stack, serving, options.outage)
    yield "postgres", lambda: outages.postgres_down(stack, serving, options.outage)
    yield "corrupt", lambda: versions.corrupt_bundle(stack, serving)
    yield "worker", lambda: outages.worker_killed(stack, serving)
    for behaviour in (Behaviour.NO_NUMBER, Behaviour.SLOW):
        yield f"challenger_{behaviour.name.lower()}", partial(versions.bad_challenger, stack, serving, behaviour)
    yield "start_alone", lambda: outages.start_alone(stack)
    yield "journal_limit", lambda: outages.journal_full(stack)
    if os.geteuid() == 0:
        yield "disk", lambda: outages.disk_full(stack)
    else:
        print("the full disk is left out: mounting a small disk needs root", file=sys.stderr)


if __name__ == "__main__":
    main()
