from datetime import UTC, datetime

import sqlalchemy as sa

from noria.reports.lineage import read_lineage
from noria.testing.builders import a_use_case
from tests.reports.made_up import JUNE, SNAPSHOT

NOW = datetime(2024, 6, 2, tzinfo=UTC)
SOURCES = [
    {"name": "parcels", "kind": "files", "path": "data/*.csv", "event_time": "promised_at", "key": ["parcel_id"]},
    {"name": "depots", "kind": "sql", "connection": "erp", "query": "select 1"},
    {"name": "weather", "kind": "files", "path": "w.csv", "event_time": "at"},
]


def ingested(engine, source: str, start: str, end: str, rows: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text("insert into ops.ingested values ('parcels', :source, :start, :end, :rows, :now)"),
            {"source": source, "start": f"{start}T00:00Z", "end": f"{end}T00:00Z", "rows": rows, "now": NOW},
        )


def test_the_ledger_tells_what_each_source_has_brought(engine, tmp_path):
    ingested(engine, "parcels", "2024-01-01", "2024-02-01", 100)
    ingested(engine, "parcels", "2024-02-01", "2024-03-01", 200)
    ingested(engine, "parcels", "2024-04-01", "2024-05-01", 300)
    ingested(engine, "parcels", "2024-06-01", "2024-07-01", 999)  # after what the model was made of
    with engine.begin() as connection:
        connection.execute(
            sa.text("insert into ops.reference_tables values ('parcels', 'depots', 'abc', 3, :now)"), {"now": NOW}
        )
    use_case = a_use_case(tmp_path, sources=SOURCES, privacy={"street": "pseudonymise"})
    lineage = read_lineage(engine, use_case, snapshot=SNAPSHOT, as_of=JUNE, rows=550, positives=50)
    parcels, depots, weather = lineage.sources
    assert [(stretch.start.month, stretch.end.month, stretch.rows) for stretch in parcels.stretches] == [
        (1, 3, 300),
        (4, 5, 300),
    ]
    assert (parcels.rows, parcels.table, parcels.ingested_at) == (600, "raw.parcels__parcels", NOW)
    assert parcels.privacy == {"street": "pseudonymise"}
    assert (depots.digest, depots.rows, depots.origin) == ("abc", 3, "query on connection erp")
    assert (weather.known, lineage.unknown) == (False, ("weather",))
    assert (lineage.features, lineage.labels) == ("features.ftr_parcels", "labels.lbl_parcels")
