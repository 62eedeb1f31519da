"""When pipelines run: one partition per interval, whether time, an asset event, a backfill or a person starts the run.

Airflow's own partitioned timetables come close. What is missing there, and here:

- asset-driven DAGs refuse backfills because they do not know which partitions there are; ours know the cadence;
- a backfill may ask for any partition; ours stop at the data's first and last day and leave out what is not over yet;
- a schedule is either asset-driven or timed when it has partitions, and an event of a partitioned run cannot wake a DAG
  without partitions; training is woken by both, with its as-of date as the partition;
- a DAG's `end_date` also holds back runs that a person starts; ours ends only what time starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.exceptions import InvalidPartitionKeyError
from airflow.partition_mappers.temporal import StartOfHourMapper
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable, CronTriggerTimetable
from airflow.utils.strings import get_random_string
from pendulum import instance

from noria.core.base.errors import IntervalError
from noria_airflow.partitions import DatasetIntervals, key_format, key_of

if TYPE_CHECKING:
    from airflow.utils.types import DagRunType
    from pendulum import DateTime

_GRACE = timedelta(hours=1)


class IntervalTimetable(CronPartitionTimetable):
    """Runs once for each interval, when it is over."""

    def __init__(self, span: DatasetIntervals) -> None:
        super().__init__(span.cadence.cron, timezone="UTC", run_offset=-1, key_format=key_format(span.cadence))
        self._span = span
        self.description = f"When an interval is over ({span.cadence.value})"

    @property
    def summary(self) -> str:
        """What lists of DAGs show."""
        return self._span.cadence.value

    def serialize(self) -> dict[str, Any]:
        """As JSON."""
        return self._span.serialize()

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> IntervalTimetable:
        """Read what `serialize` wrote."""
        return cls(DatasetIntervals.deserialize(data))

    def next_dagrun_info_v2(self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction) -> DagRunInfo | None:
        """The next interval that time starts; None once the data set has ended."""
        first = instance(self._span.cadence.next(self._span.start))
        last = instance(self._span.end) if self._span.end else None
        bounded = TimeRestriction(earliest=first, latest=last, catchup=restriction.catchup)
        return super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=bounded)

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """What a backfill creates."""
        return _interval_runs(self._span, earliest, latest)

    def _decode_partition_date(self, partition_key: str) -> datetime:
        return _interval_start(self._span, partition_key)


class _AssetTriggeredTimetable(PartitionedAssetTimetable):
    """Runs once for each partition of which an asset brings word, and lets Airflow list the partitions."""

    periodic = True

    def __init__(self, asset: Any, span: DatasetIntervals) -> None:
        form = key_format(span.cadence)
        # Keys pass unchanged; the mapper is there because it also tells Airflow the date that a key stands for.
        super().__init__(assets=asset, default_partition_mapper=StartOfHourMapper(input_format=form, output_format=form))
        self._span = span

    @property
    def _asset_names(self) -> str:
        return " and ".join(key.name for key, _ in self.asset_condition.iter_assets())

    def serialize(self) -> dict[str, Any]:
        """As JSON."""
        return {**super().serialize(), **self._span.serialize()}

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        data_interval: DataInterval | None,  # noqa: ARG002  # Airflow's signature
        run_after: DateTime,
        **extra: Any,
    ) -> str:
        """Names the partition; unique, because a partition may be run again."""
        parts = [run_after.isoformat(), extra.get("partition_key"), get_random_string()]  # type: ignore[no-untyped-call]  # Airflow's
        return run_type.generate_run_id(suffix="__".join(part for part in parts if part))


class IntervalAssetTimetable(_AssetTriggeredTimetable):
    """Runs once for each interval of which an asset brings word. Time never starts a run; a backfill can."""

    def __init__(self, asset: Any, span: DatasetIntervals) -> None:
        super().__init__(asset, span)
        self.description = f"When {self._asset_names} has an interval ({span.cadence.value})"

    @property
    def summary(self) -> str:
        """What lists of DAGs show."""
        return f"Asset, {self._span.cadence.value}"

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> IntervalAssetTimetable:
        """Read what `serialize` wrote."""
        from airflow.serialization.decoders import decode_asset_like

        return cls(decode_asset_like(data["asset_condition"]), DatasetIntervals.deserialize(data))

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """What a backfill creates."""
        return _interval_runs(self._span, earliest, latest)

    def _decode_partition_date(self, partition_key: str) -> datetime:
        return _interval_start(self._span, partition_key)


class TrainingTimetable(_AssetTriggeredTimetable):
    """Runs on a plan, and whenever an asset asks; the partition is the date as of which training looks.

    A planned run looks up to the last interval bound. There is none before the DAG was there, nor after the data's end.
    """

    def __init__(self, asset: Any, cron: str, span: DatasetIntervals) -> None:
        super().__init__(asset, span)
        self._cron = cron
        self._plan = CronTriggerTimetable(cron, timezone="UTC")
        self.description = (
            f"When {self._asset_names} asks, and {self._plan.description[:1].lower()}{self._plan.description[1:]}"
        )

    @property
    def summary(self) -> str:
        """What lists of DAGs show."""
        return f"Asset or {self._cron}"

    def serialize(self) -> dict[str, Any]:
        """As JSON."""
        return {**super().serialize(), "cron": self._cron}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> TrainingTimetable:
        """Read what `serialize` wrote."""
        from airflow.serialization.decoders import decode_asset_like

        return cls(decode_asset_like(data["asset_condition"]), data["cron"], DatasetIntervals.deserialize(data))

    def next_dagrun_info_v2(
        self,
        *,
        last_dagrun_info: DagRunInfo | None,
        restriction: TimeRestriction,  # noqa: ARG002  # the span restricts more
    ) -> DagRunInfo | None:
        """The next planned run.

        Airflow would start a new DAG at once with the tick before it; a model has nothing to learn from then. The hour of
        grace is there because this is asked again and again, also just after a tick whose run is not made yet.
        """
        if last_dagrun_info is None:
            return self._run_at(self._first_tick(instance(datetime.now(UTC)) - _GRACE))
        return self._run_at(self._next_tick(last_dagrun_info.run_after, catchup=False))

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """What a backfill creates: the runs that the plan would have made."""
        now, seen = datetime.now(UTC), None
        tick = self._first_tick(instance(max(earliest, self._span.start)))
        while tick <= now and self._span.cadence.floor(tick) <= latest:
            run = self._run_at(tick)
            if run and run.partition_date != seen and run.partition_date and run.partition_date >= earliest:
                seen = run.partition_date
                yield run
            tick = self._next_tick(tick, catchup=True)

    def _first_tick(self, earliest: DateTime) -> DateTime:
        """First tick of the plan at or after an instant."""
        return self._tick(None, TimeRestriction(earliest=earliest, latest=None, catchup=True))

    def _next_tick(self, after: DateTime, *, catchup: bool) -> DateTime:
        """First tick of the plan after an instant; without `catchup` not before the last tick up to now."""
        return self._tick(DataInterval.exact(after), TimeRestriction(earliest=None, latest=None, catchup=catchup))

    def _tick(self, last: DataInterval | None, restriction: TimeRestriction) -> DateTime:
        run = self._plan.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        return cast("DagRunInfo", run).run_after  # None only where a latest tick is given

    def _run_at(self, tick: DateTime) -> DagRunInfo | None:
        as_of = self._span.cadence.floor(tick)
        if as_of <= self._span.start or (self._span.end and as_of > self._span.end):
            return None
        key = key_of(as_of, self._span.cadence)
        return DagRunInfo(run_after=tick, data_interval=None, partition_date=instance(as_of), partition_key=key)

    def _decode_partition_date(self, partition_key: str) -> datetime:
        try:
            return self._span.as_of(partition_key)
        except IntervalError as error:
            raise InvalidPartitionKeyError(str(error)) from error


def _interval_runs(span: DatasetIntervals, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
    """One run per interval, as time would have started it when the interval was over."""
    for interval in span.between(earliest, latest, datetime.now(UTC)):
        yield DagRunInfo(
            run_after=instance(interval.end),
            data_interval=None,
            partition_date=instance(interval.start),
            partition_key=key_of(interval.start, span.cadence),
        )


def _interval_start(span: DatasetIntervals, key: str) -> datetime:
    """The start that a key names, or Airflow's own error, for the person who typed it."""
    try:
        return span.interval_of(key).start
    except IntervalError as error:
        raise InvalidPartitionKeyError(str(error)) from error
