"""What a model may look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from noria.core.use_case.fields import Duration, Frozen, Name, named


class NumericFeature(Frozen):
    """A number, possibly missing."""

    description: str = ""
    """One line for the people who send it."""
    unit: str = ""
    """Unit of measure, such as `minutes`."""
    range: tuple[float, float] | None = None
    """Lowest and highest plausible value; documented in the REST schema."""
    required: bool = False
    """Refuse a request that leaves it out; otherwise a missing value is encoded as such."""


class CategoricalFeature(Frozen):
    """A text out of a set that training learns, possibly missing or unseen."""

    description: str = ""
    """One line for the people who send it."""
    required: bool = False
    """Refuse a request that leaves it out; otherwise a missing value is encoded as such."""


class Features(Frozen):
    """What the model may look at."""

    model: Name
    """dbt model that holds the features, one row per entity."""
    lookback: Duration = timedelta(0)
    """How far before an interval its features look into raw data (the longest rolling window)."""
    numeric: Annotated[
        dict[Name, NumericFeature],
        BeforeValidator(named, json_schema_input_type=dict[Name, NumericFeature | None] | list[Name]),
    ] = Field(default={})
    """Numbers, by column name."""
    categorical: Annotated[
        dict[Name, CategoricalFeature],
        BeforeValidator(named, json_schema_input_type=dict[Name, CategoricalFeature | None] | list[Name]),
    ] = Field(default={})
    """Texts, by column name."""

    @property
    def names(self) -> tuple[str, ...]:
        """All features: numeric first, each kind in the order it is written."""
        return (*self.numeric, *self.categorical)
