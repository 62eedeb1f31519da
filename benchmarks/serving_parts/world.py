"""What Noria serves from: a use case, its bundle on disk, a real PostgreSQL with a real API key."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving_parts.model import ENTITY, NUMBERS, ONE_HOT, ORDINAL, USE_CASE, Model, manifest


@dataclass(frozen=True)
class World:
    """A place where `python -m serving` finds everything.

    Attributes:
        variables: of its environment.
        key: that may ask for predictions.
        warehouse_url: of PostgreSQL.
    """

    variables: dict[str, str]
    key: str
    warehouse_url: str

    def stored(self) -> tuple[int, int]:
        """Predictions in PostgreSQL, and how many different ids they have."""
        import psycopg

        with psycopg.connect(self.warehouse_url) as connection:
            row = connection.execute("select count(*), count(distinct id) from ops.predictions").fetchone()
        return (0, 0) if row is None else (int(row[0]), int(row[1]))


@contextmanager
def world(model: Model) -> Iterator[World]:
    """A fresh place; it is gone after the block."""
    from benchmarks.fault_parts.world import free_port
    from noria.local.postgres import PostgresServer

    with tempfile.TemporaryDirectory(prefix="noria-serving-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # PostgreSQL runs as another user where we are root
        postgres = PostgresServer(root / "postgres", free_port())
        postgres.start()
        try:
            postgres.create_database("noria")
            yield _made(root / "home", model, postgres.url("noria"))
        finally:
            postgres.stop()


def _made(home: Path, model: Model, warehouse_url: str) -> World:
    _write_use_case(home / "use_cases")
    _put_bundle(home, model)
    variables = {
        "NORIA_HOME": str(home),
        "NORIA_USE_CASES": str(home / "use_cases"),
        "NORIA_WAREHOUSE_URL": warehouse_url,
        "NORIA_MLFLOW_URL": "http://127.0.0.1:9",  # it serves from disk what it fetched last
        "NORIA_SERVING_ACCESS": "keys",
    }
    return World(variables, _key(home, warehouse_url), warehouse_url)


def _write_use_case(root: Path) -> None:
    from noria.testing.builders import use_case_fields, write_use_case

    features = {"model": "ftr_parcels", "numeric": list(NUMBERS), "categorical": [*ONE_HOT, *ORDINAL]}
    business = {**use_case_fields()["business"], "baseline": f"{NUMBERS[0]} > 0"}
    write_use_case(root, name=USE_CASE, entity=ENTITY, features=features, business=business, segments=[])


def _put_bundle(home: Path, model: Model) -> None:
    from noria.core.model.bundle import GOLDEN, MODEL
    from noria.core.use_case import Task
    from noria.io.bundle_files import write_bundle
    from serving.models.bundle_store import BundleStore, Pointer

    golden = json.dumps([{"instance": model.rows[1], "score": model.scores[1]}]).encode()
    draft = home / "draft"
    digest = write_bundle(draft, manifest(Task.BINARY_CLASSIFICATION), {MODEL: model.graph, GOLDEN: golden})
    store = BundleStore(home / "serving")
    place = store.folder(USE_CASE, digest)
    place.parent.mkdir(parents=True)
    draft.rename(place)
    store.point(USE_CASE, Pointer("1", digest))


def _key(home: Path, warehouse_url: str) -> str:
    from noria.bootstrap import bootstrap
    from noria.core.base.api_key import Scope
    from noria.jobs.access import create_key
    from noria.settings import Settings

    settings = Settings(home=home, use_cases=home / "use_cases", warehouse_url=warehouse_url)  # type: ignore[arg-type]
    services = bootstrap(settings)
    issued = create_key(services, name="bench", use_cases=[USE_CASE], scopes=[Scope.PREDICT], actor="bench")
    services.warehouse.engine.dispose()
    return issued.secret.text
