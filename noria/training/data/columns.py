"""Texts of many rows, each kept once: a column of categories takes four bytes a row instead of a Python object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
_MISSING = -1


@dataclass(frozen=True, eq=False)
class Categories(Sequence[str | None]):
    """A column of texts; reads as a sequence of str or None.

    Attributes:
        names: every text that can stand in the column, without repeats.
        codes: index into `names` of every row, -1 where the value is missing; shape ``(rows,)``.
    """

    names: tuple[str, ...]
    codes: Codes

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Categories:
        """From texts, row by row."""
        index: dict[str, int] = {}
        codes = [_MISSING if value is None else index.setdefault(value, len(index)) for value in values]
        return cls(tuple(index), np.array(codes, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> str | None: ...
    @overload
    def __getitem__(self, row: slice) -> Categories: ...
    def __getitem__(self, row: int | slice) -> str | Categories | None:
        if isinstance(row, slice):
            return Categories(self.names, self.codes[row])
        code = int(self.codes[row])
        return None if code == _MISSING else self.names[code]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.tolist())

    def tolist(self) -> list[str | None]:
        """The texts, row by row."""
        texts: list[str | None] = self.objects.tolist()
        return texts

    @property
    def objects(self) -> npt.NDArray[np.object_]:
        """The texts, row by row, as an array of str and None."""
        return self.spread(self._vocabulary)

    def take(self, rows: npt.NDArray[np.intp]) -> Categories:
        """The rows at these positions."""
        return Categories(self.names, self.codes[rows])

    def spread(self, per_name: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is known of each text, given to every row that has it.

        Args:
            per_name: one entry per text of `names`, and last the one of a missing value.
        """
        return per_name[self.codes]  # -1 is the last entry

    def counts(self, weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
        """Rows (or the sum of their weights) by text of `names`, and last of missing values."""
        places = np.where(self.codes == _MISSING, len(self.names), self.codes)
        return np.bincount(places, weights, minlength=len(self.names) + 1).astype(np.float64)

    @cached_property
    def _vocabulary(self) -> npt.NDArray[np.object_]:
        return np.array([*self.names, None], dtype=object)
