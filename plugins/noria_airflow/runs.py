"""What a task needs to know about the run it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from noria.core.base.interval import Interval
from noria_airflow.as_of import AsOf, resolve_as_of
from noria_airflow.partitions import DatasetIntervals, key_of

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from noria.bootstrap import Services
    from noria.core.base.results import Result
    from noria.core.use_case import UseCase

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskContext:
    """What a task works with: services, the use case as it is written now, and the run."""

    services: Services
    use_case: UseCase
    context: Mapping[str, Any]

    @property
    def interval(self) -> Interval:
        """The interval that the run's partition key names.

        Raises:
            IntervalError: it names none of the data set.
        """
        return DatasetIntervals.of(self.use_case.schedule).interval_of(self.context["dag_run"].partition_key)

    @property
    def run_id(self) -> str:
        """Which run this is."""
        return str(self.context["dag_run"].run_id)

    def emit_asset_event(self, asset: Asset, extra: Mapping[str, str], *, partition: datetime | None = None) -> None:
        """Attach facts to the event that Airflow emits when the task succeeds.

        Args:
            asset: an outlet of the task.
            extra: the facts.
            partition: whose partition the event is about; None for the run's own.
        """
        event = self.context["outlet_events"][asset]
        event.extra = dict(extra)
        if partition is not None:
            event.add_partitions(key_of(partition, self.use_case.schedule.data))


def current_context(name: str) -> TaskContext:
    """Context of the running task, for the use case of that name."""
    from noria.bootstrap import bootstrap

    services = bootstrap()
    return TaskContext(services, services.use_case(name), get_current_context())


def to_xcom(result: Result) -> dict[str, Any]:
    """A job's result as XCom carries it, and in the task's log."""
    content = result.model_dump(mode="json")
    _LOG.info("%s: %s", type(result).__name__, ", ".join(f"{name}={value}" for name, value in content.items()))
    return content


def current_as_of(task: TaskContext) -> AsOf:
    """As-of date of the training run that this task belongs to, with the reason of the run."""
    run = task.context["dag_run"]
    events = task.context["triggering_asset_events"]
    return resolve_as_of(
        task.use_case.schedule,
        chosen=task.context["params"].get("as_of"),
        key=run.partition_key,
        reasons=[str(event.extra["reason"]) for found in events.values() for event in found if "reason" in event.extra],
        run_after=run.run_after,
    )
