"""The table of predictions in PostgreSQL, which unpacks journal lines itself.

The process that stores predictions also answers requests, and parsing a line costs a fifth of a request. So lines are sent
as they are, in one COPY, and PostgreSQL makes rows of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from serving.journal.append_table import AppendTable

_COLUMNS: dict[str, str] = {
    "id": "(one->>'id')::uuid",
    "use_case": "line->>'use_case'",
    "version": "one->>'version'",
    "requested_at": "(line->>'requested_at')::timestamptz",
    "entity": "one->>'entity'",
    "features": "one->'features'",
    "score": "(one->>'score')::double precision",
    "decision": "one->>'decision'",  # true or false, a class, or a number
    "probabilities": "nullif(one->'probabilities', 'null')",
    "threshold": "(one->>'threshold')::double precision",
    "latency_ms": "(line->>'latency_ms')::double precision",
    "alias": "one->>'alias'",
    "caller": "nullif(line->>'caller', '')",
    "request_id": "nullif(line->>'request_id', '')",
    "digest": "nullif(one->>'digest', '')",
}
"""SQL of each column, over a line and one of its predictions; see `serving.predict.journal_line.PredictionLine`."""
_UNPACK = (
    f"insert into ops.predictions ({', '.join(_COLUMNS)}) select {', '.join(_COLUMNS.values())} "
    "from incoming cross join lateral jsonb_array_elements(line->'predictions') as of_line(one) on conflict (id) do nothing"
)
_IS_LINE, _HAS_PREDICTIONS = b'{"use_case":"', b'"predictions":[{"id":"'


class PredictionTable(AppendTable):
    """`ops.predictions`; its rows are journal lines."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "ops.predictions", tuple(_COLUMNS))

    def rows_of(self, line: bytes) -> Iterator[tuple[bytes]]:
        """The line itself; one of an older Noria is brought to the present format.

        Raises:
            ValueError: it is not a journal line.
        """
        if line.startswith(_IS_LINE) and _HAS_PREDICTIONS in line:
            yield (line,)
        else:
            yield (_migrated(line),)

    def _store(self, cursor: psycopg.Cursor[Any], rows: Sequence[tuple[bytes]]) -> None:
        cursor.execute("create temp table if not exists incoming (line jsonb) on commit delete rows")
        with cursor.copy("copy incoming from stdin") as copy:
            # JSON lines have neither line breaks nor tabs; a backslash has a meaning in COPY
            copy.write(b"".join([line.rstrip(b"\n") + b"\n" for (line,) in rows]).replace(b"\\", b"\\\\"))
        cursor.execute(_UNPACK)


def _migrated(line: bytes) -> bytes:
    """A line in the present format.

    An older Noria wrote lines with one version for all predictions, each of them a list without names. Also reads lines of
    the present format that are written another way, such as one that a person has mended.
    """
    try:
        request: dict[str, Any] = json.loads(line)
        predictions = [_named(request, one) if isinstance(one, list) else {**one} for one in request["predictions"]]
        if not all(isinstance(one["features"], dict) and one["id"] for one in predictions):
            raise ValueError("a prediction without id or features")
        return json.dumps({**request, "predictions": predictions}).encode()
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a journal line: {line[:80]!r}") from error


def _named(request: dict[str, Any], one: list[Any]) -> dict[str, Any]:
    identity, entity, features, score, decision, *more = one
    return {
        "id": identity,
        "entity": entity,
        "features": features,
        "score": score,
        "decision": decision,
        "threshold": request["threshold"],
        "probabilities": more[0] if more else None,
        "version": request["version"],
    }
