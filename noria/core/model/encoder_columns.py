"""Columns of the encoder: what one feature becomes in the matrix that a model reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from noria.core.use_case.rule import Rule

Matrix = npt.NDArray[np.float32]


_Row = Mapping[str, Any]


LARGEST = float(np.finfo(np.float32).max)
"""What is encoded ends as float32; no model computes with more."""


class _Column(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str

    def encode_value(self, value: Any, into: list[float]) -> None:
        """Append the encoding of one value."""
        raise NotImplementedError

    def encode_many(self, values: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Encode a column, one value after the other; shape ``(rows, 1)``."""
        encoded: list[float] = []
        for value in values:
            self.encode_value(value, encoded)
        return np.array(encoded, dtype=np.float64)[:, None]

    def encode_from(self, row: _Row, into: list[float]) -> None:
        """Append the encoding of what this column reads of a row."""
        self.encode_value(row.get(self.name), into)

    def encode_all(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[np.float64]:
        """Encode what this column reads of equally long columns; shape ``(rows, width)``."""
        return self.encode_many(columns[self.name])


class NumericColumn(_Column):
    """``(value - center) / scale``; a missing value becomes ``missing`` (NaN lets trees choose their own branch)."""

    kind: Literal["numeric"] = "numeric"
    center: float = 0.0
    scale: float = 1.0
    missing: float | None = None
    """What stands for a missing value after scaling; None keeps NaN."""

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return 1

    def encode_many(self, values: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Encode a column; shape ``(rows, 1)``."""
        numbers = np.asarray(values, dtype=np.float64)
        encoded = (numbers - self.center) / self.scale
        if self.missing is not None:
            encoded = np.where(np.isnan(numbers), self.missing, encoded)
        return encoded[:, None]


class OneHotColumn(_Column):
    """One 0/1 column per known category; all zero for a missing or unseen one."""

    kind: Literal["one_hot"] = "one_hot"
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.categories)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {category: index for index, category in enumerate(self.categories)}

    def encode_value(self, value: Any, into: list[float]) -> None:
        """Append the encoding of one value."""
        start = len(into)
        into.extend([0.0] * len(self.categories))
        index = self._index.get(value) if isinstance(value, str) else None
        if index is not None:
            into[start + index] = 1.0

    def encode_many(self, values: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Encode a column; shape ``(rows, categories)``."""
        encoded = np.zeros((len(values), len(self.categories)))
        for row, value in enumerate(values):
            index = self._index.get(value) if isinstance(value, str) else None
            if index is not None:
                encoded[row, index] = 1.0
        return encoded


class LookupColumn(_Column):
    """One number per known category (a smoothed target mean, a frequency, an ordinal code); others get ``unseen``."""

    kind: Literal["lookup"] = "lookup"
    values: dict[str, float]
    unseen: float | None = None
    """For a category that training did not see; None gives NaN."""
    missing: float | None = None
    """For a missing value; None gives NaN."""

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return 1

    def encode_value(self, value: Any, into: list[float]) -> None:
        """Append the encoding of one value."""
        number = self.values.get(value, self.unseen) if isinstance(value, str) else self.missing
        into.append(math.nan if number is None else number)


class RuleColumn(_Column):
    """Value of an expression over the whole row: a number above 0, such as a usual price.

    Named after the first feature that the expression reads.
    """

    kind: Literal["rule"] = "rule"
    expression: str
    least: float
    """Stands for a smaller number."""
    missing: float
    """Stands for what is no number above 0, or none that float32 knows."""

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return 1

    @cached_property
    def rule(self) -> Rule:
        """The expression, parsed."""
        return Rule(self.expression)

    def encode_value(self, value: Any, into: list[float]) -> None:
        """Append the encoding of the expression's value."""
        known = isinstance(value, int | float) and 0 < value <= LARGEST
        into.append(max(float(value), self.least) if known else self.missing)

    def encode_from(self, row: _Row, into: list[float]) -> None:
        """Append the encoding of the expression's value for a row."""
        self.encode_value(self.rule.value(row), into)

    def encode_all(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[np.float64]:
        """Encode the expression's values over equally long columns; shape ``(rows, 1)``."""
        read = {name: columns[name] for name in self.rule.reads or columns}  # columns on disk are read when looked at
        return self.encode_many(self.rule.values(read, len(next(iter(read.values()), ()))))


Column = Annotated[NumericColumn | OneHotColumn | LookupColumn | RuleColumn, Field(discriminator="kind")]
