"""Pseudonyms: the same value gives the same text under one key, and cannot be read back without it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from noria.core.errors import SettingsError
from noria.core.use_case import Privacy, UseCase

LENGTH = 32
"""Hexadecimal characters kept: 128 bits, so that two values never meet in practice."""


def check_key(use_case: UseCase, key: str) -> None:
    """Check that there is a key where one is needed.

    Raises:
        SettingsError: the use case pseudonymises and the key is empty.
    """
    names = [name for name, treatment in use_case.privacy.items() if treatment is Privacy.PSEUDONYMISE]
    if names and not key:
        raise SettingsError(
            f"NORIA_PSEUDONYM_KEY is not set, and {use_case.name} pseudonymises {', '.join(names)}: set it to a long random "
            "text and keep it; with another key old and new rows do not join"
        )


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


def pseudonym(value: str, key: str) -> str:
    """Pseudonym of one value: HMAC-SHA-256, its first 32 hexadecimal characters."""
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:LENGTH]


def _pseudonyms(column: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Each distinct value once: a month repeats them by the thousand."""
    encoded = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # no rows at all
        return pa.chunked_array([], pa.string())
    names = pa.array([pseudonym(value, key) for value in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([names.take(encoded.indices)])
