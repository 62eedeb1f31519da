"""Features of a model."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from noria.core.use_case.fields import Duration, Frozen, Name, named


class NumericFeature(Frozen):
    """A number, possibly missing."""

    description: str = ""
    """One line for developers of apps that send it."""
    unit: str = ""
    """Unit of measure, such as `minutes`."""
    range: tuple[float, float] | None = None
    """Lowest and highest plausible value; part of the REST schema."""
    required: bool = False
    """Whether a request without it is refused; otherwise a missing value is encoded as missing."""


class CategoricalFeature(Frozen):
    """A category, possibly missing or unseen in training."""

    description: str = ""
    """One line for developers of apps that send it."""
    required: bool = False
    """Whether a request without it is refused; otherwise a missing value is encoded as missing."""


class Features(Frozen):
    """Features of the model."""

    model: Name
    """dbt model that holds the features, one row per entity."""
    lookback: Duration = timedelta(0)
    """Length of raw data before an interval that its features need (the longest rolling window)."""
    numeric: Annotated[
        dict[Name, NumericFeature],
        BeforeValidator(named, json_schema_input_type=dict[Name, NumericFeature | None] | list[Name]),
    ] = Field(default={})
    """Numeric features, by column name."""
    categorical: Annotated[
        dict[Name, CategoricalFeature],
        BeforeValidator(named, json_schema_input_type=dict[Name, CategoricalFeature | None] | list[Name]),
    ] = Field(default={})
    """Categorical features, by column name."""

    @property
    def names(self) -> tuple[str, ...]:
        """All features: numeric first, each kind in the order it is written.

        Example:
            >>> use_case.features.names
            ('weight', 'hour', 'depot')
        """
        return (*self.numeric, *self.categorical)
