"""Tables of an older Noria become those of this one, with what is in them, however often they are migrated."""

from __future__ import annotations

from sqlalchemy import text

from noria.data.postgres.warehouse import Table, Warehouse

# As they were while every decision was a yes or a no.
OLD = """
create schema ops;
create table ops.predictions (
    id uuid primary key,
    use_case text not null,
    version text not null,
    requested_at timestamptz not null,
    entity text,
    features jsonb not null,
    score double precision not null,
    decision boolean not null,
    threshold double precision not null,
    latency_ms double precision not null
);
create table ops.batch_predictions (
    use_case text not null,
    entity text not null,
    event_time timestamptz not null,
    version text not null,
    score double precision not null,
    decision boolean not null,
    primary key (use_case, entity)
);
insert into ops.predictions values
    ('00000000-0000-0000-0000-000000000001', 'parcels', '1', '2024-02-01Z', 'a', '{}', 0.75, true, 0.5, 1.0),
    ('00000000-0000-0000-0000-000000000002', 'parcels', '1', '2024-02-01Z', 'b', '{}', 0.25, false, 0.5, 1.0);
insert into ops.batch_predictions values
    ('parcels', 'a', '2024-02-01Z', '1', 0.75, true), ('parcels', 'b', '2024-02-01Z', '1', 0.25, false);
"""
TABLES = (Table("ops", "predictions"), Table("ops", "batch_predictions"))


def test_decisions_become_texts_once(database_url: str) -> None:
    warehouse = Warehouse(database_url)
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(OLD)
    warehouse.migrate()
    with warehouse.transaction() as connection:
        connection.exec_driver_sql("comment on schema ops is 'another version'")  # so that it is applied again
    warehouse.migrate()
    for table in TABLES:
        columns = warehouse.columns(table)
        assert columns["decision"] == "text"
        assert columns["probabilities"] == "jsonb"
        rows = warehouse.read_arrow(f"select decision, probabilities::text as probabilities from {table} order by entity")
        assert rows.to_pylist() == [
            {"decision": "true", "probabilities": None},
            {"decision": "false", "probabilities": None},
        ]
    warehouse.close()


def test_an_old_database_ends_up_with_the_columns_of_a_new_one(warehouse: Warehouse, database_url: str) -> None:
    def columns() -> dict[Table, dict[str, str]]:
        return {table: dict(warehouse.columns(table)) for table in TABLES}

    new = columns()
    with warehouse.transaction() as connection:
        connection.exec_driver_sql("drop schema ops cascade")
        connection.exec_driver_sql(OLD)
    warehouse.migrate()
    assert columns() == new


def test_a_prediction_without_a_threshold_is_kept(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "insert into ops.predictions values "
            "(gen_random_uuid(), 'hotels', '1', now(), 'a', '{}', 95.5, '95.5', null, 1.0)"
        )
        assert connection.scalar(text("select decision from ops.predictions")) == "95.5"
