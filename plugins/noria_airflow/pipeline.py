"""The frame that every DAG of ours has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG

from noria.core.use_case import UseCase
from noria_airflow.failures import mail_owner
from noria_airflow.partitions import DatasetIntervals, key_of
from noria_airflow.retries import retry_arguments
from noria_airflow.use_cases import readme

BY_INTERVAL = (
    "To run it by hand: **Trigger ▸ Backfill** takes dates; **Trigger ▸ Single Run ▸ Advanced Options ▸ Partition Key** "
    "takes one interval by its start, such as `{key}`."
)


def pipeline(
    use_case: UseCase,
    kind: str,
    what: str,
    *,
    schedule: Any,
    max_active_runs: int,
    params: dict[str, Any] | None = None,
    by_hand: str = BY_INTERVAL,
) -> DAG:
    """The DAG `<use case>__<kind>`, to be filled in a `with` block.

    It is not paused when it is new: a paused consumer would miss the events that wake it. There is no `end_date`, which
    would also hold back runs that a person starts; the timetables know when the data set ends.

    Args:
        use_case: whose DAG it is.
        kind: data, train, score or monitor.
        what: one line for the list of DAGs.
        schedule: when it runs.
        max_active_runs: how many intervals at once; a backfill brings its own limit.
        params: what a person may choose when triggering it.
        by_hand: where Airflow's pages take what a run needs to know; `{key}` becomes an example of a partition key.
    """
    start = use_case.schedule.start
    first = DatasetIntervals.of(use_case.schedule)
    how = by_hand.format(key=key_of(first.start, first.cadence))
    return DAG(
        f"{use_case.name}__{kind}",
        schedule=schedule,
        start_date=datetime(start.year, start.month, start.day, tzinfo=UTC),
        catchup=False,
        max_active_runs=max_active_runs,
        is_paused_upon_creation=False,
        params=params,
        description=what,
        doc_md=f"**{what}.** {how}\n\n{readme(use_case)}",
        tags={"noria", use_case.name, kind},
        default_args={"owner": use_case.owner, **retry_arguments()},
        on_failure_callback=mail_owner(use_case),
    )
