"""Columns of a training set that stay in its Parquet file, and are read when somebody looks at them.

A set of many rows is never in memory as a whole: one column at a time is (`columns[name]`), or all columns of a stretch of
rows (`take`). A selection of few enough rows is in memory.
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
"""A training set of more rows keeps its columns on disk."""
_GROUPS_AT_ONCE = 16
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class StoredColumns(Mapping[str, Any]):
    """The columns of some rows of a Parquet file.

    Attributes:
        path: the file.
        numeric: which columns are numbers; the others are categories.
        names: every column, in the order of the use case.
        rows: places of the rows in the file, ascending, without repeats.
        most_in_memory: a selection of more rows than this stays on disk.
    """

    path: Path
    numeric: frozenset[str]
    names: tuple[str, ...]
    rows: range | Places
    most_in_memory: int = MOST_IN_MEMORY

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return self._read((name,))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, places: Places) -> Mapping[str, Any]:
        """The columns of the rows at these positions: in memory, or still on disk where they are many.

        Args:
            places: positions among these rows; in any order where they are few.
        """
        chosen = _chosen(self.rows, places)
        if isinstance(chosen, range) or _ascending(chosen):
            some = replace(self, rows=chosen)
            return some if len(chosen) > self.most_in_memory else some.loaded()
        distinct, back = np.unique(chosen, return_inverse=True)
        loaded = replace(self, rows=distinct).loaded()
        return {
            name: values.take(back) if isinstance(values, Categories) else values[back] for name, values in loaded.items()
        }

    def part(self, part: slice) -> StoredColumns:
        """The columns of some of the rows, one after another, still on disk."""
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
    """An Arrow column as numbers, NaN where a value is missing."""
    found: npt.NDArray[np.float64] = column.cast("float64").to_numpy()
    return found


def categories_of(column: Any) -> Categories:
    """An Arrow column of texts."""
    import pyarrow as pa

    texts = column if pa.types.is_dictionary(column.type) else column.cast("string").dictionary_encode()
    whole = texts.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # a column without rows has no chunk to combine
        return Categories((), np.empty(0, dtype=np.int32))
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Categories(tuple(whole.dictionary.to_pylist()), codes)


def _chosen(rows: range | Places, places: Places) -> range | Places:
    """Rows at these positions; a range wherever they follow one another, which takes no memory."""
    if not len(places):
        return range(0)
    first, last = int(places[0]), int(places[-1])
    if isinstance(rows, range):
        if last - first + 1 == len(places) and _ascending(places):
            return rows[first : last + 1]
        return places + rows.start
    return np.asarray(rows[places])


def _ascending(places: Places) -> bool:
    return bool(np.all(places[1:] > places[:-1]))


def _groups(file: Any, rows: range | Places) -> Iterator[tuple[list[int], slice | Places]]:
    """Row groups that hold some of the rows, a few at a time, and which of their rows those are."""
    metadata = file.metadata
    edges = np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])
    for first in range(0, metadata.num_row_groups, _GROUPS_AT_ONCE):
        last = min(first + _GROUPS_AT_ONCE, metadata.num_row_groups)
        for groups, start, end in _needed(edges, first, last, rows):
            yield groups, _within(rows, start, end)


def _needed(edges: Any, first: int, last: int, rows: range | Places) -> Iterator[tuple[list[int], int, int]]:
    """Of a few row groups the stretch that holds any of the rows, and where it starts and ends in the file."""
    held = [group for group in range(first, last) if _count(rows, int(edges[group]), int(edges[group + 1]))]
    if held:
        yield list(range(held[0], held[-1] + 1)), int(edges[held[0]]), int(edges[held[-1] + 1])


def _count(rows: range | Places, start: int, end: int) -> int:
    if isinstance(rows, range):
        return max(0, min(rows.stop, end) - max(rows.start, start))
    return int(np.searchsorted(rows, end) - np.searchsorted(rows, start))


def _within(rows: range | Places, start: int, end: int) -> slice | Places:
    """Those of the rows that lie between two places of the file, counted from the first of these places."""
    if isinstance(rows, range):
        return slice(max(rows.start, start) - start, min(rows.stop, end) - start)
    return np.asarray(rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)] - start)


def _selected(column: Any, numeric: bool, chosen: slice | Places) -> Any:
    if numeric:
        return numbers_of(column)[chosen]
    found = categories_of(column)
    return Categories(found.names, found.codes[chosen])


def _joined(parts: Sequence[Any], numeric: bool) -> Any:
    if numeric:
        return np.concatenate(parts) if parts else np.empty(0)
    index: dict[str, int] = {}
    codes: list[npt.NDArray[np.int32]] = []
    for part in parts:
        known = np.array([*(index.setdefault(name, len(index)) for name in part.names), -1], dtype=np.int32)
        codes.append(part.spread(known))
    return Categories(tuple(index), np.concatenate(codes) if codes else np.empty(0, dtype=np.int32))
