"""SIGKILL to everything that takes part in training and promotion, at each moment that matters; what is lost, what stays.

Every job is the pipeline's own in a real process, forked as Airflow forks tasks, on a durable PostgreSQL and a real MLflow
server; data are made up. Moments are found by what is visible from outside: trials in the study, files on disk, writes that
MLflow has done. The table says what was lost, what a retry did, and whether each guarantee held; the exit code is 1 where
one was broken.

`--without-scheduler` leaves out the faults that start Airflow; `--markdown` prints the table as docs/faults.md has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache, partial

from benchmarks.shared.servers import Servers, temporary_servers
from benchmarks.training_faults import promotion, registration, search, snapshot
from benchmarks.training_faults.finding import Finding, as_markdown, print_head, print_row
from benchmarks.training_faults.sandbox import Sandbox, sandbox_on
from benchmarks.training_faults.scheduler import scheduler_killed

Fault = tuple[str, Callable[[], Finding]]
"""A stage, and a function that tries one fault of it."""


def main() -> None:
    """Try every fault, print the table."""
    options = arguments()
    print_head()
    findings = []
    with (
        temporary_servers("faults") as servers,
        sandbox_on(servers.root / "home", servers.warehouse_url, servers.mlflow.url) as sandbox,
    ):
        for stage, fault in faults(sandbox, servers, scheduler=not options.without_scheduler):
            if options.only and options.only not in stage:
                continue
            findings.append(fault())
            print_row(findings[-1])
    if options.markdown:
        print(as_markdown(findings))
    raise SystemExit(any(finding.broken for finding in findings))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-scheduler", action="store_true", help="leave out what starts Airflow")
    parser.add_argument("--only", default="", help="stages with this in their name, such as search")
    parser.add_argument("--markdown", action="store_true", help="print the table once more, in Markdown")
    return parser.parse_args()


def faults(sandbox: Sandbox, servers: Servers, *, scheduler: bool) -> Iterator[Fault]:
    """Every fault, in the order of the pipeline."""
    yield "snapshot", lambda: snapshot.killed_while_reading(sandbox)
    yield "snapshot", lambda: snapshot.killed_while_writing(sandbox)
    yield from _in_search(sandbox, servers)
    yield "baseline", lambda: registration.baseline_killed(sandbox)
    yield from _in_registration(sandbox, servers)
    yield from _in_promotion(sandbox, servers)
    if scheduler:
        for whole in (False, True):
            yield "scheduler", partial(scheduler_killed, servers.postgres, servers.mlflow.url, with_its_tasks=whole)


def _in_search(sandbox: Sandbox, servers: Servers) -> Iterator[Fault]:
    yield "search", lambda: search.killed_in_the_opening(sandbox)
    yield "search", lambda: search.killed_in_each_trial(sandbox)
    yield "search", lambda: search.killed_beside_another(sandbox)
    yield "search", lambda: search.postgres_killed(sandbox, servers.kill_postgres, servers.postgres.start)
    yield "search", lambda: search.all_killed(sandbox, servers.kill, servers.start)


def _in_registration(sandbox: Sandbox, servers: Servers) -> Iterator[Fault]:
    name = sandbox.a_use_case("fitted")
    searched = cache(partial(sandbox.searched, name))  # one search for all these faults, made by the first that runs

    def between_any_two_writes() -> Finding:
        writes = registration.writes_of(sandbox, name, searched())
        return registration.killed_between_writes(sandbox, name, searched(), range(len(writes) + 1))

    def mlflow_killed() -> Finding:
        return registration.mlflow_killed(sandbox, servers.mlflow.kill, servers.mlflow.start, name, searched())

    for file in registration.MOMENTS:
        yield "fit", lambda file=file: registration.killed_at_file(sandbox, name, searched(), file)  # type: ignore[misc]
    yield "registration", between_any_two_writes
    yield "registration", lambda: registration.champion_moved_meanwhile(sandbox)
    yield "registration_mlflow", mlflow_killed


def _in_promotion(sandbox: Sandbox, servers: Servers) -> Iterator[Fault]:
    for job in ("nominate", "reject", "promote", "roll_back"):
        yield job, partial(promotion.killed_between_steps, sandbox, job)
    yield "promote_postgres", lambda: promotion.postgres_killed(sandbox, servers.kill_postgres, servers.postgres.start)


if __name__ == "__main__":
    main()
