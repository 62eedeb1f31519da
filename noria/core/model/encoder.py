"""The one encoder: the same code turns a row into numbers in training, batch scoring and REST.

It is plain data (JSON), fitted by `noria.training` and applied here with numpy alone. Arithmetic is float64 and the result
is rounded once to float32, in the same order for one row and for many, so that both give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from noria.core.model.encoder_columns import Column, Matrix
from noria.core.model.row_encoder import Step, row_steps


class Encoder(BaseModel):
    """Encodes rows for one model. A feature may feed several columns (a lookup of means and one of frequencies)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[Column, ...]

    @cached_property
    def width(self) -> int:
        """Number of columns of the encoded matrix."""
        return sum(column.width for column in self.columns)

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return row_steps(self.columns)

    def encode_rows(self, rows: Sequence[Mapping[str, Any]]) -> Matrix:
        """Encode a few rows given as mappings; a name that is not there is missing. Shape ``(rows, width)``."""
        encoded: list[float] = []
        for row in rows:
            for step in self._steps:
                step(row, encoded)
        return np.array(encoded, dtype=np.float32).reshape(len(rows), self.width)

    def encode_columns(self, columns: Mapping[str, Sequence[Any]]) -> Matrix:
        """Encode many rows given as equally long columns; shape ``(rows, width)``.

        Raises:
            KeyError: a column is not there.
        """
        parts = [column.encode_all(columns) for column in self.columns]
        return np.concatenate(parts, axis=1).astype(np.float32)
