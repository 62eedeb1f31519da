"""Dictionary-encoded text columns: four bytes per row instead of a Python object."""

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
    """A text column; reads as a sequence of str or None.

    Attributes:
        names: distinct texts; some may have no row.
        codes: index into `names` of every row, -1 for a missing value; shape ``(rows,)``.
    """

    names: tuple[str, ...]
    codes: Codes

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Categories:
        """From one text or None per row."""
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
        """One text or None per row."""
        texts: list[str | None] = self.objects.tolist()
        return texts

    @property
    def objects(self) -> npt.NDArray[np.object_]:
        """One text or None per row, as an array; shape ``(rows,)``."""
        return self.spread(self._vocabulary)

    def take(self, rows: npt.NDArray[np.intp]) -> Categories:
        """The rows at these positions."""
        return Categories(self.names, self.codes[rows])

    def spread(self, per_name: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One entry per row, looked up by its text; shape ``(rows, ...)``.

        Args:
            per_name: one entry per text of `names`, and a last one for a missing value; shape ``(names + 1, ...)``.
        """
        return per_name[self.codes]  # -1 is the last entry

    def counts(self, weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
        """Rows (or the sum of their weights) by text, and last of missing values; shape ``(names + 1,)``."""
        entries = np.where(self.codes == _MISSING, len(self.names), self.codes)
        return np.bincount(entries, weights, minlength=len(self.names) + 1).astype(np.float64)

    @cached_property
    def _vocabulary(self) -> npt.NDArray[np.object_]:
        return np.array([*self.names, None], dtype=object)
