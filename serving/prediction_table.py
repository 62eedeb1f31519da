"""The table of predictions in PostgreSQL: many rows in one COPY, each exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

_COLUMNS = "id, use_case, version, requested_at, entity, features, score, decision, probabilities, threshold, latency_ms"


class Row(NamedTuple):
    """One prediction, as the table has it."""

    id: str
    use_case: str
    version: str
    requested_at: str
    entity: str | None
    features: str
    score: float
    decision: str
    """`true` or `false`, a class, or the shortest text of a number."""
    probabilities: str | None
    """JSON object by class; None but for multiclass."""
    threshold: float | None
    """None but for binary classification."""
    latency_ms: float


def rows_of(line: bytes) -> Iterator[Row]:
    """The predictions of one journal line, also of one that was written while every decision was a yes or no.

    Raises:
        ValueError: it is no journal line.
    """
    try:
        request: dict[str, Any] = json.loads(line)
        for identity, entity, features, score, decision, *more in request["predictions"]:
            yield Row(
                identity,
                request["use_case"],
                request["version"],
                request["requested_at"],
                entity,
                json.dumps(features, ensure_ascii=False),
                score,
                _in_words(decision),
                _json_or_none(*more),
                request["threshold"],
                request["latency_ms"],
            )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a journal line: {line[:80]!r}") from error


def _in_words(decision: object) -> str:
    """A decision as the column of all tasks has it."""
    if isinstance(decision, bool):
        return "true" if decision else "false"
    return decision if isinstance(decision, str) else repr(decision)


def _json_or_none(probabilities: Mapping[str, float] | None = None) -> str | None:
    return None if probabilities is None else json.dumps(probabilities, ensure_ascii=False)


class PredictionTable:
    """`ops.predictions`, over one connection that is opened when needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def insert(self, rows: Sequence[Row]) -> int:
        """Store rows in one transaction; those that are there already are left as they are. Returns how many were new.

        Raises:
            psycopg.Error: nothing was stored.
        """
        connection = self._connect()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("create temp table incoming (like ops.predictions) on commit drop")
                with cursor.copy(f"copy incoming ({_COLUMNS}) from stdin") as copy:
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(
                    f"insert into ops.predictions ({_COLUMNS}) select {_COLUMNS} from incoming on conflict (id) do nothing"
                )
                return cursor.rowcount
        except psycopg.OperationalError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next insert opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=5,
                application_name="noria-serving",
                # a server that vanished without a word must be noticed, not waited for
                options="-c statement_timeout=60000 -c lock_timeout=30000",
                tcp_user_timeout=30000,
                keepalives_idle=10,
            )
        return self._connection
