"""Online store: features of an entity, looked up in the feature table that dbt fills.

The latest row of an entity by event time counts, without rows of intervals in quarantine. A small cache answers repeated
lookups of an entity within seconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from noria.core.base.errors import first_line
from noria.core.use_case import UseCase
from serving.contract.errors import FieldProblem, OnlineStoreError, UnknownEntityError

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

_CACHED = 10_000
"""Entities in the cache."""
_CONNECTIONS = 4
_PATIENCE = 2.0
"""Seconds that a request waits for a connection."""
_INTEGERS = {"smallint": 15, "integer": 31, "bigint": 63}
"""Integer types of PostgreSQL, and how many bits they hold."""
_Row = Mapping[str, Any]


class OnlineStore:
    """Latest features by entity, over a pool of connections that is opened when the first entity is asked for."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Args:
            url: of the warehouse; empty if there is none.
        """
        self._url = url
        self._pool: AsyncConnectionPool[Any] | None = None
        self._opening = asyncio.Lock()
        self._cache: OrderedDict[tuple[str, str], tuple[float, _Row]] = OrderedDict()
        self._key_types: dict[str, str] = {}

    async def rows(self, use_case: UseCase, entities: Sequence[str]) -> list[_Row]:
        """Features of entities, by name, in the order of `entities`.

        Raises:
            UnknownEntityError: some have no features; lists every one.
            OnlineStoreError: the warehouse does not answer, or has no such table.
        """
        rows = {entity: row for entity in entities if (row := self._cached(use_case.name, entity)) is not None}
        if missing := [entity for entity in dict.fromkeys(entities) if entity not in rows]:
            fetched = await self._fetch(use_case, missing)
            self._keep(use_case, fetched)
            rows |= fetched
        if unknown := [place for place, entity in enumerate(entities) if entity not in rows]:
            raise UnknownEntityError([_unknown(use_case, place, entities[place]) for place in unknown])
        return [rows[entity] for entity in entities]

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def _cached(self, use_case: str, entity: str) -> _Row | None:
        expires, row = self._cache.get((use_case, entity), (0.0, None))
        return row if expires > monotonic() else None

    def _keep(self, use_case: UseCase, rows: Mapping[str, _Row]) -> None:
        seconds = use_case.serving.entity_cache.total_seconds()
        if not seconds:
            return
        expires = monotonic() + seconds
        for entity, row in rows.items():
            self._cache[use_case.name, entity] = (expires, row)
            self._cache.move_to_end((use_case.name, entity))
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)

    async def _fetch(self, use_case: UseCase, entities: Sequence[str]) -> dict[str, _Row]:
        import psycopg
        from psycopg.rows import dict_row
        from psycopg_pool import PoolTimeout

        table = f"features.{use_case.features.model}"
        try:
            pool = await self._opened()
            async with pool.connection(_PATIENCE) as connection, connection.cursor(row_factory=dict_row) as cursor:
                kind = self._key_types.get(use_case.name) or await self._key_type(cursor, use_case, table)
                keys = [entity for entity in entities if _fits(kind, entity)]
                await cursor.execute(_query(use_case, table, kind), (keys, use_case.name))
                return {row.pop("asked_for"): row for row in await cursor.fetchall()}
        except (psycopg.Error, PoolTimeout, OSError) as error:
            self._key_types.pop(use_case.name, None)  # the table may have been recreated
            reason = first_line(error)
            raise OnlineStoreError(
                f"features of {use_case.name} cannot be looked up in {table} ({reason}); send instances with their fields"
            ) from error

    async def _key_type(self, cursor: Any, use_case: UseCase, table: str) -> str:
        """PostgreSQL's type of the entity column: a key of another type would not use the index."""
        await cursor.execute(
            "select format_type(atttypid, null) as kind from pg_attribute where attrelid = to_regclass(%s) and attname = %s",
            (table, use_case.entity),
        )
        row = await cursor.fetchone()
        if row is None:
            raise OnlineStoreError(
                f"{table} has no column {use_case.entity} yet: run {use_case.name}__data for an interval, "
                "or send instances with their fields"
            )
        self._key_types[use_case.name] = str(row["kind"])
        return self._key_types[use_case.name]

    async def _opened(self) -> AsyncConnectionPool[Any]:
        if not self._url:
            raise OnlineStoreError("NORIA_WAREHOUSE_URL is not set, so nothing can be looked up; send instances instead")
        async with self._opening:
            if self._pool is None:
                from psycopg_pool import AsyncConnectionPool

                settings = {"autocommit": True, "connect_timeout": 3, "application_name": "noria-serving-features"}
                settings["options"] = "-c statement_timeout=3000 -c default_transaction_read_only=on"
                pool = AsyncConnectionPool(
                    self._url, min_size=1, max_size=_CONNECTIONS, open=False, kwargs=settings, name="features"
                )
                await pool.open()
                self._pool = pool
        return self._pool


def _query(use_case: UseCase, table: str, kind: str) -> str:
    names = ", ".join(f'f."{name}"' for name in use_case.features.names)
    entity, event_time = f'f."{use_case.entity}"', f'f."{use_case.event_time}"'
    return f"""
        select asked.name as asked_for, latest.*
        from unnest(%s::text[]) as asked(name)
        cross join lateral (
            select {names} from {table} as f
            where {entity} = asked.name::{kind}
            and not exists (
                select from ops.quarantined as q
                where q.use_case = %s and {event_time} >= q.start_at and {event_time} < q.end_at
            )
            order by {event_time} desc limit 1
        ) as latest
    """


def _fits(kind: str, entity: str) -> bool:
    """Whether a key has the type of the column: else PostgreSQL would refuse the whole query."""
    if kind not in _INTEGERS:
        return True
    try:
        return int(entity).bit_length() <= _INTEGERS[kind]
    except ValueError:
        return False


def _unknown(use_case: UseCase, place: int, entity: str) -> FieldProblem:
    shown = entity if len(entity) <= 60 else f"{entity[:57]}..."
    expected = f"a {use_case.entity} with features, outside intervals in quarantine"
    return FieldProblem(f"entities[{place}]", f'"{shown}"', expected, "send its fields as an instance")
