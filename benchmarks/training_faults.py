"""`kill -9` of everything that takes part in training and promotion, at each moment that matters; what is lost, what stays.

Every step is the pipeline's own job in a real process, forked as Airflow forks tasks, on a durable PostgreSQL and a real
MLflow server; data are made up. Moments are found by what can be seen from outside: trials in the study, files on disk,
writes that MLflow has done. The table says what was lost, what a retry did, and whether each promise was kept; the exit code
is 1 where one was not.

`--without-scheduler` leaves out the cases that start Airflow; `--markdown` prints the table as docs/faults.md has it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))


@dataclass(frozen=True)
class Bench:
    """The servers and the world on them."""

    world: Any
    postgres: Any
    mlflow: Any

    def kill_postgres(self) -> None:
        """`kill -9`."""
        from benchmarks.fault_parts.world import kill_postgres

        kill_postgres(self.postgres)

    def kill_all(self) -> None:
        """`kill -9` of both."""
        self.mlflow.kill()
        self.kill_postgres()

    def start_all(self) -> None:
        """Start both again."""
        self.postgres.start()
        self.mlflow.start()


def main() -> None:
    """Try every fault, print the table."""
    options = arguments()
    from benchmarks.fault_parts.finding import as_markdown, print_head, print_row

    print_head()
    findings = []
    with bench() as servers:
        for case in cases(servers, scheduler=not options.without_scheduler):
            if options.only and options.only not in case.__name__:
                continue
            findings.append(case())
            print_row(findings[-1])
    if options.markdown:
        print(as_markdown(findings))
    raise SystemExit(any(finding.broken for finding in findings))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-scheduler", action="store_true", help="leave out what starts Airflow")
    parser.add_argument("--only", default="", help="cases with this in their name, such as search")
    parser.add_argument("--markdown", action="store_true", help="print the table once more, in Markdown")
    return parser.parse_args()


@contextmanager
def bench() -> Iterator[Bench]:
    """Servers of our own, since they are killed."""
    from benchmarks.fault_parts.world import MlflowServer, free_port, world_on
    from noria.local.postgres import PostgresServer

    with tempfile.TemporaryDirectory(prefix="noria-faults-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # PostgreSQL runs as another user where we are root
        postgres = PostgresServer(root / "postgres", free_port())
        postgres.start()  # durable: what was committed must outlive a kill
        for database in ("noria", "mlflow"):
            postgres.create_database(database)
        mlflow = MlflowServer(root / "mlflow", postgres.url("mlflow"))
        try:
            mlflow.start()
            with world_on(root / "home", postgres.url("noria"), mlflow.url) as world:
                yield Bench(world, postgres, mlflow)
        finally:
            mlflow.kill()
            postgres.stop()


def cases(servers: Bench, *, scheduler: bool) -> Iterator[Callable[[], Any]]:
    """Every fault, in the order of the pipeline."""
    from benchmarks.fault_parts import promotion_faults, registry_faults, search_faults, snapshot_faults

    world = servers.world

    def named(name: str, call: Callable[[], Any]) -> Callable[[], Any]:
        call.__name__ = name
        return call

    yield named("snapshot", lambda: snapshot_faults.killed_while_reading(world))
    yield named("snapshot", lambda: snapshot_faults.killed_while_writing(world))
    yield named("search", lambda: search_faults.killed_in_the_opening(world))
    yield named("search", lambda: search_faults.killed_in_each_trial(world))
    yield named("search", lambda: search_faults.killed_beside_another(world))
    yield named("search", lambda: search_faults.postgres_killed(world, servers.kill_postgres, servers.postgres.start))
    yield named("search", lambda: search_faults.machine_lost(world, servers.kill_all, servers.start_all))
    yield named("baseline", lambda: registry_faults.baseline_killed(world))
    name = world.a_use_case("fitted")
    snapshot: list[str] = []

    def searched() -> str:
        if not snapshot:
            snapshot.append(world.searched(name))
        return snapshot[0]

    for file in registry_faults.MOMENTS:
        yield named("fit", lambda file=file: registry_faults.killed_at_file(world, name, searched(), file))

    def between_any_two() -> Any:
        moments = range(len(registry_faults.writes_of(world, name, searched())) + 1)
        return registry_faults.killed_between_writes(world, name, searched(), moments)

    yield named("registration", between_any_two)
    yield named("registration", lambda: registry_faults.champion_moved_meanwhile(world))
    yield named(
        "registration_mlflow",
        lambda: registry_faults.mlflow_killed(world, servers.mlflow.kill, servers.mlflow.start, name, searched()),
    )
    for job in ("nominate", "reject", "promote", "roll_back"):
        yield named(job, lambda job=job: promotion_faults.killed_between_steps(world, job))
    yield named(
        "promote_postgres", lambda: promotion_faults.postgres_killed(world, servers.kill_postgres, servers.postgres.start)
    )
    if scheduler:
        from benchmarks.fault_parts.scheduler_fault import scheduler_killed

        for whole in (False, True):
            yield named(
                "scheduler",
                lambda whole=whole: scheduler_killed(servers.postgres, servers.mlflow.url, with_its_tasks=whole),
            )


if __name__ == "__main__":
    main()
