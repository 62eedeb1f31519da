"""Definition and content of the tables in a database, to compare two databases."""

from __future__ import annotations

import json

from noria.data.postgres.warehouse import Warehouse

SCHEMAS = "('raw', 'staging', 'features', 'labels', 'ops', 'optuna')"
_DEFINITIONS = {
    "schemas": f"select nspname, obj_description(oid, 'pg_namespace') from pg_namespace where nspname in {SCHEMAS}",
    "columns": f"""
        select table_schema, table_name, ordinal_position, column_name, data_type, udt_name, is_nullable, column_default,
            is_identity, is_generated, col_description((table_schema || '.' || table_name)::regclass, ordinal_position::int)
        from information_schema.columns where table_schema in {SCHEMAS}""",
    "relations": f"select oid::regclass::text, relkind, obj_description(oid, 'pg_class') from pg_class "
    f"where relnamespace::regnamespace::text in {SCHEMAS}",
    "indexes": f"select tablename, indexname, indexdef from pg_indexes where schemaname in {SCHEMAS}",
    "constraints": f"select conrelid::regclass::text, conname, contype, convalidated, pg_get_constraintdef(oid), "
    f"obj_description(oid, 'pg_constraint') from pg_constraint where connamespace::regnamespace::text in {SCHEMAS}",
    "views": f"select viewname, definition from pg_views where schemaname in {SCHEMAS}",
    "functions": f"select oid::regprocedure::text, pg_get_functiondef(oid) from pg_proc "
    f"where pronamespace::regnamespace::text in {SCHEMAS}",
    "triggers": "select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
}


def catalogue(warehouse: Warehouse) -> dict[str, list[str]]:
    """Definitions by kind: schemas, columns in order, indexes, constraints, views, functions, triggers and all comments.

    Alembic's own table, and the digest that older releases left as a comment on the schema, are left out.
    """
    with warehouse.transaction() as connection:
        found = {kind: connection.exec_driver_sql(query).all() for kind, query in _DEFINITIONS.items()}
    return {
        kind: sorted(str(tuple(row)) for row in rows if "alembic_version" not in str(row)) for kind, rows in found.items()
    }


def rows(warehouse: Warehouse) -> dict[str, list[dict[str, str | None]]]:
    """Rows of every table of `ops` in text form, by the table's name."""
    with warehouse.transaction() as connection:
        tables = connection.exec_driver_sql(
            "select tablename from pg_tables where schemaname = 'ops' and tablename <> 'alembic_version' order by 1"
        ).scalars()
        found = {}
        for table in tables.all():
            query = f"select to_jsonb(t)::text from ops.{table} as t order by 1"
            found[table] = [_texts(row) for row in connection.exec_driver_sql(query).scalars()]
    return found


def _texts(row: str) -> dict[str, str | None]:
    return {
        name: value if value is None or isinstance(value, str) else json.dumps(value)
        for name, value in json.loads(row).items()
    }
