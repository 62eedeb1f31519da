"""Tables as each release left them, with rows for each."""

from __future__ import annotations

from pathlib import Path

from noria.data.migrations.schema import revisions
from noria.data.postgres.warehouse import Warehouse

LAST = revisions()[-1]

# SQL of the releases before numbered migrations, by the revision whose tables it makes.
UNNUMBERED = {path.stem: path.read_text() for path in (Path(__file__).parent / "unnumbered").glob("*.sql")}

# Rows for the tables that each migration makes.
ROWS = {
    "0001": """
        insert into ops.ingested values ('parcels', 'scans', '2024-01-01Z', '2024-02-01Z', 3, '2024-02-01Z');
        insert into ops.reference_tables values ('parcels', 'depots', 'abc', 3, '2024-02-01Z');
        insert into ops.quarantined values ('parcels', '2024-01-01Z', '2024-02-01Z');
        insert into ops.predictions values
            (gen_random_uuid(), 'parcels', '1', '2024-02-01Z', 'a', '{"weight": 1}', 0.75, true, 0.5, 1),
            (gen_random_uuid(), 'parcels', '1', '2024-02-01Z', null, '{}', 0.25, false, 0.5, 1);
        insert into ops.batch_predictions values
            ('parcels', 'a', '2024-02-01Z', '1', 0.75, true), ('parcels', 'b', '2024-02-01Z', '1', 0.25, false);
        insert into ops.verdicts values ('parcels', '2024-01-01Z', '2024-02-01Z', '1', 'ok', '{}', '', '2024-02-01Z');
        insert into ops.ledger values ('parcels', '2024-01-01Z', '2024-02-01Z', '1', 3, 2, 1.5, 1, 0.5, 'EUR');
        insert into ops.deliveries values ('k', 'parcels', '<m>', 'Parcels', '{a@example.com}', '2024-02-01Z');
        insert into ops.retrain_requests values ('parcels', '2024-02-01Z', 'drift', 'r', '2024-02-01Z');
        insert into ops.audit values (1, '2024-02-01Z', 'parcels', 'promoted', '1', '0', null, 'ana', 'good', '{}', '', 'h');
    """,
    "0002": """
        insert into ops.predictions values
            (gen_random_uuid(), 'hotels', '1', '2024-02-01Z', 'a', '{}', 95.5, '95.5', null, 1, '{"a": 1}');
    """,
    "0003": """
        insert into ops.feedback values
            (gen_random_uuid(), 'parcels', null, 'a', '2024-02-01Z', 'true', '2024-02-02Z', '2024-02-02Z');
        insert into ops.api_keys values ('abcdefghijkl', 'shop', null, '{predict}', null, '2024-02-01Z', 'ana');
        insert into ops.api_key_secrets values (repeat('a', 64), 'abcdefghijkl', '2024-02-01Z', null);
    """,
}


def revision_before(revision: str) -> str | None:
    index = revisions().index(revision)
    return revisions()[index - 1] if index else None


def execute(warehouse: Warehouse, sql: str) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(sql.replace("%", "%%"))


def assert_kept(before: dict[str, list[dict[str, str | None]]], after: dict[str, list[dict[str, str | None]]]) -> None:
    """Every value is still there, in the same column."""
    for table, kept in before.items():
        now = [{name: row[name] for name in kept[0]} for row in after[table]]
        assert sorted(map(str, now)) == sorted(map(str, kept)), table
