"""Labels that apps have handed in over REST, for intervals whose own labels have not come (yet).

The warehouse's label wins: it is what training learns from, and what was checked on its way in. Feedback fills the gaps of
what monitoring judges. Of several rows about the same, the one with the latest `at` counts (then the one received
last); `ops.current_feedback` shows how many have another label.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from noria.core.base.interval import Interval
from noria.core.use_case import Task, UseCase
from noria.data.postgres.warehouse import Warehouse, quote

_TYPED = {
    Task.BINARY_CLASSIFICATION: ("said.label = 'true'", "said.label in ('true', 'false')"),
    Task.MULTICLASS: ("said.label", "true"),
    Task.REGRESSION: ("said.label::double precision", "said.label ~ '^-?[0-9]'"),
}
"""Per task: the label as it is in Arrow, and which texts are one; a use case may have changed its task since."""
_QUERY = """
with said as (
    select coalesce(f.entity, p.entity) as entity, f.event_time, f.label, f.at, f.received_at, f.id
    from ops.feedback as f
    left join ops.predictions as p on p.id = f.prediction_id and p.use_case = f.use_case
    where f.use_case = $1 and f.at <= $4
)
select distinct on (b.event_time, b.entity) b.entity as {entity}, b.event_time as {event_time}, {label} as label
from ops.batch_predictions as b
join said on said.entity = b.entity and (said.event_time is null or said.event_time = b.event_time)
where b.use_case = $1 and b.event_time >= $2 and b.event_time < $3 and b.event_time <= $5 and {is_label}
order by b.event_time, b.entity, said.at desc, said.received_at desc, said.id desc
"""


def labels_from_feedback(
    warehouse: Warehouse, use_case: UseCase, interval: Interval, as_of: datetime | None = None
) -> pa.Table:
    """Entity, event time and `label` of the interval's batch-scored entities that have feedback.

    Feedback about a REST prediction is about that prediction's entity. `label` is what `noria.data.tables.labels` makes of
    the warehouse's: boolean, text or float64. A class that is no class any more is left out. Ordered by event time and
    entity.

    Args:
        warehouse: has the feedback.
        use_case: whose.
        interval: of event time.
        as_of: feedback whose `at` is later do not count; by default the end of the interval and `label.available_after`,
            when monitoring judges it.
    """
    as_of = as_of or interval.end + use_case.label.available_after
    label, is_label = _TYPED[use_case.task]
    query = _QUERY.format(
        entity=quote(use_case.entity), event_time=quote(use_case.event_time), label=label, is_label=is_label
    )
    until = as_of - use_case.label.available_after
    found = warehouse.read_arrow(query, (use_case.name, interval.start, interval.end, as_of, until))
    if use_case.task.is_multiclass:
        return found.filter(pc.is_in(found["label"], pa.array(use_case.label.classes)))
    return found


def fill_labels(use_case: UseCase, rows: pa.Table, feedback: pa.Table) -> pa.Table:
    """The rows, with `label` filled from feedback where it is null.

    Args:
        use_case: names entity and event time.
        rows: have the entity, the event time and `label`, one row per entity.
        feedback: from `labels_from_feedback`.
    """
    if not len(feedback) or not rows["label"].null_count:
        return rows
    keys = (use_case.entity, use_case.event_time)
    said = dict(zip(_tuples(feedback, keys), feedback["label"].to_pylist(), strict=True))
    known = zip(_tuples(rows, keys), rows["label"].to_pylist(), strict=True)
    filled = [said.get(key) if label is None else label for key, label in known]
    place = rows.column_names.index("label")
    return rows.set_column(place, "label", pa.chunked_array([pa.array(filled, rows["label"].type)]))


def _tuples(rows: pa.Table, names: tuple[str, ...]) -> list[tuple[object, ...]]:
    return list(zip(*(rows[name].to_pylist() for name in names), strict=True))
