"""Columns of a training set that stay in its Parquet file, and are read when they are used.

A set of many rows is never in memory as a whole: one column is (`columns[name]`), or all columns of some rows (`take`). Few
rows are loaded into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.training.data.columns import Categories

MOST_IN_MEMORY = 1_000_000
"""A training set of more rows than this keeps its columns on disk."""
_GROUPS_AT_ONCE = 16
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class StoredColumns(Mapping[str, Any]):
    """The columns of some rows of a Parquet file.

    Attributes:
        path: the file.
        numeric: names of the numeric columns; the others are categorical.
        names: every column, in the order of the use case.
        rows: positions of the rows in the file, ascending, without repeats.
        most_in_memory: more rows than this stay on disk.
    """

    path: Path
    numeric: frozenset[str]
    names: tuple[str, ...]
    rows: range | Positions
    most_in_memory: int = MOST_IN_MEMORY

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return self._read((name,))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, positions: Positions) -> Mapping[str, Any]:
        """The columns of the rows at these positions: in memory, or on disk if they are many.

        Args:
            positions: among these rows; few rows may be in any order.
        """
        chosen = _chosen(self.rows, positions)
        if isinstance(chosen, range) or _ascending(chosen):
            some = replace(self, rows=chosen)
            return some if len(chosen) > self.most_in_memory else some.loaded()
        distinct, back = np.unique(chosen, return_inverse=True)
        loaded = replace(self, rows=distinct).loaded()
        return {
            name: values.take(back) if isinstance(values, Categories) else values[back] for name, values in loaded.items()
        }

    def part(self, part: slice) -> StoredColumns:
        """The columns of consecutive rows, still on disk."""
        return replace(self, rows=self.rows[part])

    def loaded(self) -> dict[str, Any]:
        """All columns of the rows, in memory."""
        return self._read(self.names)

    def _read(self, names: tuple[str, ...]) -> dict[str, Any]:
        import pyarrow.parquet as pq

        categorical = [name for name in names if name not in self.numeric]
        parts: dict[str, list[Any]] = {name: [] for name in names}
        with pq.ParquetFile(self.path, read_dictionary=categorical) as file:
            for groups, chosen in _groups(file, self.rows):
                table = file.read_row_groups(groups, columns=list(names))
                for name in names:
                    parts[name].append(_selected(table[name], name in self.numeric, chosen))
        return {name: _joined(parts.pop(name), name in self.numeric) for name in names}


def numbers_of(column: Any) -> npt.NDArray[np.float64]:
    """An Arrow column as numbers, NaN for missing values; shape ``(rows,)``."""
    numbers: npt.NDArray[np.float64] = column.cast("float64").to_numpy()
    return numbers


def categories_of(column: Any) -> Categories:
    """An Arrow column as categories."""
    import pyarrow as pa

    texts = column if pa.types.is_dictionary(column.type) else column.cast("string").dictionary_encode()
    whole = texts.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # a column without rows has no chunk to combine
        return Categories((), np.empty(0, dtype=np.int32))
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Categories(tuple(whole.dictionary.to_pylist()), codes)


def _chosen(rows: range | Positions, positions: Positions) -> range | Positions:
    """Rows at these positions; a range if they are consecutive, which takes no memory."""
    if not len(positions):
        return range(0)
    first, last = int(positions[0]), int(positions[-1])
    if isinstance(rows, range):
        if last - first + 1 == len(positions) and _ascending(positions):
            return rows[first : last + 1]
        return positions + rows.start
    return np.asarray(rows[positions])


def _ascending(positions: Positions) -> bool:
    return bool(np.all(positions[1:] > positions[:-1]))


def _groups(file: Any, rows: range | Positions) -> Iterator[tuple[list[int], slice | Positions]]:
    """Row groups that hold some of the rows, a few at a time, and the positions of the rows in them."""
    metadata = file.metadata
    edges = np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])
    for first in range(0, metadata.num_row_groups, _GROUPS_AT_ONCE):
        last = min(first + _GROUPS_AT_ONCE, metadata.num_row_groups)
        for groups, start, end in _needed(edges, first, last, rows):
            yield groups, _within(rows, start, end)


def _needed(edges: Any, first: int, last: int, rows: range | Positions) -> Iterator[tuple[list[int], int, int]]:
    """The consecutive row groups, of a few, that hold any of the rows, with their start and end in the file."""
    held = [group for group in range(first, last) if _count(rows, int(edges[group]), int(edges[group + 1]))]
    if held:
        yield list(range(held[0], held[-1] + 1)), int(edges[held[0]]), int(edges[held[-1] + 1])


def _count(rows: range | Positions, start: int, end: int) -> int:
    if isinstance(rows, range):
        return max(0, min(rows.stop, end) - max(rows.start, start))
    return int(np.searchsorted(rows, end) - np.searchsorted(rows, start))


def _within(rows: range | Positions, start: int, end: int) -> slice | Positions:
    """The rows between two positions of the file, counted from the first of them."""
    if isinstance(rows, range):
        return slice(max(rows.start, start) - start, min(rows.stop, end) - start)
    return np.asarray(rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)] - start)


def _selected(column: Any, numeric: bool, chosen: slice | Positions) -> Any:
    if numeric:
        return numbers_of(column)[chosen]
    categories = categories_of(column)
    return Categories(categories.names, categories.codes[chosen])


def _joined(parts: Sequence[Any], numeric: bool) -> Any:
    if numeric:
        return np.concatenate(parts) if parts else np.empty(0)
    index: dict[str, int] = {}
    codes: list[npt.NDArray[np.int32]] = []
    for part in parts:
        numbers = np.array([*(index.setdefault(name, len(index)) for name in part.names), -1], dtype=np.int32)
        codes.append(part.spread(numbers))
    return Categories(tuple(index), np.concatenate(codes) if codes else np.empty(0, dtype=np.int32))
