"""Sources of raw data, and how personal columns are protected."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from noria.core.use_case.fields import Frozen, Name


class FileSource(Frozen):
    """CSV or Parquet files: in the use case's folder, elsewhere on disk, or inside an installed Python package."""

    name: Name
    """Table name in the raw schema."""
    kind: Literal["files"]
    """Kind of source; decides its other fields."""
    path: str
    """File or glob, relative to the use case's folder; `package:NAME/PATH` reads from an installed package."""
    event_time: Name | None = None
    """Column with the time of a row; without it the table is a reference table, replaced whole."""
    key: tuple[Name, ...] = ()
    """Columns that identify a row; a repeated key is an error."""


class SqlSource(Frozen):
    """A query on another database."""

    name: Name
    """Table name in the raw schema."""
    kind: Literal["sql"]
    """Kind of source; decides its other fields."""
    connection: Name
    """Name of the connection; its URL comes from the setting NORIA_SOURCE_<CONNECTION>_URL."""
    query: str
    """The query; `:start` and `:end` are bound to the interval when `event_time` is set."""
    event_time: Name | None = None
    """Column with the time of a row; without it the table is a reference table, replaced whole."""
    key: tuple[Name, ...] = ()
    """Columns that identify a row; a repeated key is an error."""


Source = Annotated[FileSource | SqlSource, Field(discriminator="kind")]


class Privacy(StrEnum):
    """How to protect a raw column that can identify a person or a thing."""

    KEEP = "keep"
    PSEUDONYMISE = "pseudonymise"
    DROP = "drop"
