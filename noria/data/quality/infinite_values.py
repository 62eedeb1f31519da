"""Numbers that no model can learn from: infinite ones, and those too large for a float32."""

from __future__ import annotations

from sqlalchemy import text

from noria.core.base.interval import Interval
from noria.core.model.encoder_columns import LARGEST
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse, quote
from noria.data.tables.features import feature_table, require

_SAMPLE = 5


def endless_features(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> tuple[str, ...]:
    """A line for each numeric feature with such a number in the interval: how many rows, and some of their entities.

    One of them stops a training, however many good rows there are, and PostgreSQL stores them without a word. NaN is not
    among them: it counts as missing.

    Raises:
        TransformError: the features were never built, or lack a column that the use case names.
    """
    table, names = feature_table(use_case), tuple(use_case.features.numeric)
    require(warehouse, table, (use_case.entity, use_case.event_time, *names))
    if not names:
        return ()
    entity, event_time = (quote(name) for name in (use_case.entity, use_case.event_time))
    rows = f"from {table} as f where f.{event_time} >= :start and f.{event_time} < :end"
    span = {"start": interval.start, "end": interval.end}
    counts = ", ".join(f"count(*) filter (where {_endless(name)})" for name in names)
    lines = []
    with warehouse.transaction() as connection:
        found = connection.execute(text(f"select {counts} {rows}"), span).one()
        for name, count in zip(names, found, strict=True):
            if count:
                some = text(f"select f.{entity} {rows} and {_endless(name)} order by 1 limit {_SAMPLE}")
                entities = ", ".join(str(one) for one in connection.scalars(some, span))
                lines.append(
                    f"{table}: {name} is infinite or beyond {LARGEST:.3g} in {count:,} rows; give null where it is not "
                    f"known (nullif in a division); such as {use_case.entity}={entities}"
                )
    return tuple(lines)


def _endless(name: str) -> str:
    number = f"f.{quote(name)}::double precision"
    return f"abs({number}) > {LARGEST!r} and {number} <> 'NaN'"
