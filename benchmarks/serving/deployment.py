"""What Noria serves from: a use case, its bundle on disk, and a real PostgreSQL with a real API key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from benchmarks.serving.model import ENTITY, NUMBERS, ONE_HOT, ORDINAL, USE_CASE, BenchmarkModel, manifest
from benchmarks.shared.servers import WAREHOUSE, temporary_postgres
from noria.bootstrap import bootstrap
from noria.core.base.api_key import Scope
from noria.core.model.bundle import GOLDEN, MODEL
from noria.data.migrations.schema import migrate
from noria.io.bundle_files import write_bundle
from noria.jobs.access import create_key
from noria.settings import Settings
from noria.testing.builders import use_case_fields, write_use_case
from serving.models.bundle_store import BundleStore, Pointer


@dataclass(frozen=True)
class Deployment:
    """Everything that `python -m serving` needs.

    Attributes:
        variables: of its environment.
        key: an API key that may ask for predictions.
        warehouse_url: `postgresql://` URL.
    """

    variables: dict[str, str]
    key: str
    warehouse_url: str

    def stored(self) -> tuple[int, int]:
        """Number of predictions in PostgreSQL, and of different ids among them."""
        with psycopg.connect(self.warehouse_url) as connection:
            row = connection.execute("select count(*), count(distinct id) from ops.predictions").fetchone()
        return (0, 0) if row is None else (int(row[0]), int(row[1]))


@contextmanager
def deployed(model: BenchmarkModel) -> Iterator[Deployment]:
    """A new deployment of a model; it is removed at the end of the block."""
    with temporary_postgres("serving") as (root, postgres):
        postgres.create_database(WAREHOUSE)
        yield _deploy(root / "home", model, postgres.url(WAREHOUSE))


def _deploy(home: Path, model: BenchmarkModel, warehouse_url: str) -> Deployment:
    _write_use_case(home / "use_cases")
    _put_bundle(home, model)
    variables = {
        "NORIA_HOME": str(home),
        "NORIA_USE_CASES": str(home / "use_cases"),
        "NORIA_WAREHOUSE_URL": warehouse_url,
        "NORIA_MLFLOW_URL": "http://127.0.0.1:9",  # no server: it serves the bundle that is on disk
        "NORIA_SERVING_ACCESS": "keys",
    }
    return Deployment(variables, _create_key(home, warehouse_url), warehouse_url)


def _write_use_case(root: Path) -> None:
    features = {"model": "ftr_parcels", "numeric": list(NUMBERS), "categorical": [*ONE_HOT, *ORDINAL]}
    business = {**use_case_fields()["business"], "baseline": f"{NUMBERS[0]} > 0"}
    write_use_case(root, name=USE_CASE, entity=ENTITY, features=features, business=business, segments=[])


def _put_bundle(home: Path, model: BenchmarkModel) -> None:
    golden = json.dumps([{"instance": model.rows[1], "score": model.scores[1]}]).encode()
    draft = home / "draft"
    digest = write_bundle(draft, manifest(), {MODEL: model.graph, GOLDEN: golden})
    store = BundleStore(home / "serving")
    folder = store.folder(USE_CASE, digest)
    folder.parent.mkdir(parents=True)
    draft.rename(folder)
    store.point(USE_CASE, Pointer("1", digest))


def _create_key(home: Path, warehouse_url: str) -> str:
    services = bootstrap(Settings(home=home, use_cases=home / "use_cases", warehouse_url=SecretStr(warehouse_url)))
    migrate(services.database)
    issued = create_key(services, name="bench", use_cases=[USE_CASE], scopes=[Scope.PREDICT], actor="bench")
    services.warehouse.engine.dispose()
    return issued.secret.text
