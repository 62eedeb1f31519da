"""Reads what dbt has made: features and labels of an interval."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from noria.core.base.errors import TransformError
from noria.core.base.interval import Interval
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Table, Warehouse, quote
from noria.data.tables.labels import label_selection, with_task_label

LABEL_KNOWN_AT = "label_known_at"
"""Column of every label model: when the label became known; null where there is no label."""


def feature_table(use_case: UseCase) -> Table:
    """Table of the features that dbt makes."""
    return Table("features", use_case.features.model)


def label_table(use_case: UseCase) -> Table:
    """Table of the labels that dbt makes."""
    return Table("labels", use_case.label.model)


def read_features(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> pa.Table:
    """Entity, event time and features of the interval, ordered by event time and entity.

    Numbers are float64 (null where missing), categories are text.

    Raises:
        TransformError: the features were never built, or lack a column that the use case names.
    """
    table = feature_table(use_case)
    require(warehouse, table, (use_case.entity, use_case.event_time, *use_case.features.names))
    return warehouse.read_arrow(
        f"select {selection(use_case)} from {table} as f "
        f"where f.{quote(use_case.event_time)} >= $1 and f.{quote(use_case.event_time)} < $2 "
        f"order by f.{quote(use_case.event_time)}, f.{quote(use_case.entity)}",
        (interval.start, interval.end),
    )


def read_labels(warehouse: Warehouse, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
    """Entity, event time and `label` of the interval's entities whose label had arrived by `as_of`.

    `label` is boolean, text or float64, as the task is: see `noria.data.tables.labels`.

    Raises:
        TransformError: the labels were never built, or one is not what the task asks for.
    """
    table = label_table(use_case)
    require(warehouse, table, (use_case.entity, use_case.event_time, use_case.label.column, LABEL_KNOWN_AT))
    found = warehouse.read_arrow(
        f"select l.{quote(use_case.entity)}, l.{quote(use_case.event_time)}, {label_selection(use_case)} "
        f"from {table} as l where l.{quote(use_case.event_time)} >= $1 and l.{quote(use_case.event_time)} < $2 "
        f"and {arrived(use_case, 3)} order by 2, 1",
        (interval.start, interval.end, as_of, as_of - use_case.label.available_after),
    )
    return with_task_label(use_case, found)


def selection(use_case: UseCase) -> str:
    """Select list of entity, event time and features, typed, off a table called `f`."""
    numeric = [f"f.{quote(name)}::double precision as {quote(name)}" for name in use_case.features.numeric]
    categorical = [f"f.{quote(name)}::text as {quote(name)}" for name in use_case.features.categorical]
    entity = f"f.{quote(use_case.entity)}::text as {quote(use_case.entity)}"
    return ", ".join((entity, f"f.{quote(use_case.event_time)}", *numeric, *categorical))


def arrived(use_case: UseCase, parameter: int) -> str:
    """Condition on a table called `l`: its label had arrived by the instant in that parameter.

    The parameter after it is that instant less `label.available_after`: both the delay of the use case and the fact
    of the row must hold.
    """
    return (
        f"l.{quote(use_case.label.column)} is not null and l.{quote(LABEL_KNOWN_AT)} <= ${parameter} "
        f"and l.{quote(use_case.event_time)} <= ${parameter + 1}"
    )


def require(warehouse: Warehouse, table: Table, names: tuple[str, ...]) -> None:
    """Check that a table that dbt makes is there with these columns.

    Raises:
        TransformError: it is not; says which and what to do.
    """
    found = warehouse.columns(table)
    if not found:
        raise TransformError(f"{table} does not exist: run the transform step of an interval first")
    if missing := [name for name in names if name not in found]:
        raise TransformError(
            f"{table} has no column {', '.join(missing)}: the use case names what its dbt model does not select; "
            f"found {', '.join(found)}"
        )
