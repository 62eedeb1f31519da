"""Personal columns on the way into the warehouse: kept, pseudonymised or dropped."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from noria.core.use_case import Privacy
from noria.core.use_case.pseudonym import LENGTH, check_key, pseudonym

__all__ = ["LENGTH", "check_key", "protect", "pseudonym"]


def protect(rows: pa.Table, privacy: Mapping[str, Privacy], key: str) -> pa.Table:
    """The rows with each named column kept, pseudonymised or dropped. Null stays null."""
    for name, treatment in privacy.items():
        if name not in rows.column_names:
            continue
        if treatment is Privacy.DROP:
            rows = rows.drop_columns([name])
        elif treatment is Privacy.PSEUDONYMISE:
            rows = rows.set_column(rows.column_names.index(name), name, _pseudonyms(rows[name], key))
    return rows


def _pseudonyms(column: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Each distinct value once: a month repeats them by the thousand."""
    encoded = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # no rows at all
        return pa.chunked_array([], pa.string())
    names = pa.array([pseudonym(value, key) for value in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([names.take(encoded.indices)])
