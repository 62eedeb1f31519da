"""What an example in a docstring finds ready made: the properties of `ExampleNames`."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastapi.testclient import TestClient

from noria.client import AsyncNoriaClient, NoriaClient
from noria.core.base.interval import Interval
from noria.core.base.results import SnapshotRef, VersionRef
from noria.core.lifecycle.gates import check_gates
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import specification_digest
from noria.core.use_case import UseCase
from noria.jobs import training
from noria.settings import Settings
from noria.testing.builders import a_use_case
from noria.testing.clock import ManualClock
from noria.testing.fakes.services import InMemoryServices
from noria.testing.snapshots import made_up_columns
from noria.training.bundle.build import ModelBundle
from noria.training.data.target import target_of
from noria.training.evaluation.input import EvaluationInput, ExportFacts
from noria.training.models.catalog import make_estimator
from noria.training.search.best_trial import BestTrial
from serving.app import create_app
from tests.training.evaluation.evaluated_rows import evaluated_candidate, training_set

ROWS = 1000
FEATURE_TYPES = {"parcel_id": "text", "promised_at": "timestamptz", "weight": "float8", "hour": "float8", "depot": "text"}
LABEL_TYPES = {"parcel_id": "text", "promised_at": "timestamptz", "late": "boolean", "label_known_at": "timestamptz"}


class ExampleNames:
    """Names for one example; each is made when the example reads it.

    Args:
        folder: empty, for everything that is written.
        asynchronous: whether `noria` is the asynchronous client.
    """

    def __init__(self, folder: Path, *, asynchronous: bool = False) -> None:
        self.folder = folder
        self._asynchronous = asynchronous
        self._opened = ExitStack()

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """Every name."""
        return ("folder", *(name for name, value in vars(cls).items() if isinstance(value, cached_property)))

    def close(self) -> None:
        """Stop what was started."""
        self._opened.close()

    @cached_property
    def services(self) -> InMemoryServices:
        settings = Settings(
            home=self.folder,
            use_cases=self.folder / "use_cases",
            dbt_project=self.folder / "dbt_project",
            mlflow_url="http://127.0.0.1:9",
            warehouse_url="",
        )
        services = InMemoryServices(settings=settings, clock=ManualClock())
        _fill(services)
        return services

    @cached_property
    def use_case(self) -> UseCase:
        return self.services.catalog.get("parcels")

    @cached_property
    def interval(self) -> Interval:
        return Interval.parse("2024-04-01", "2024-04-02")

    @cached_property
    def as_of(self) -> datetime:
        return datetime(2024, 5, 1, tzinfo=UTC)

    @cached_property
    def snapshot(self) -> SnapshotRef:
        return training.take_snapshot(self.services, self.use_case, self.as_of)

    @cached_property
    def trial(self) -> BestTrial:
        params = dict(make_estimator("linear", target_of(self.use_case)).defaults)
        return BestTrial("linear", params, number=0, value=0.3, study="parcels/example", trials=1)

    @cached_property
    def bundle(self) -> ModelBundle:
        baseline = self.services.registry.version("parcels", "0")
        request = training.FitRequest(self.use_case, self.snapshot, baseline, self.folder / "trained", self.trial)
        return training.fit(self.services, request)

    @cached_property
    def candidate(self) -> VersionRef:
        return self.services.registry.register(
            "parcels",
            self.bundle.folder,
            self.bundle.digest,
            key=f"{self.snapshot.digest[:16]}-{specification_digest(self.use_case)[:16]}",
            params=self.bundle.params,
            outcome=GateOutcome(
                passed=not any(gate.stops for gate in check_gates(self.use_case.gates, self.bundle.report)),
                summary="roc_auc 0.64",
                judged_against="0",
            ),
        ).reference()

    @cached_property
    def evaluated(self) -> EvaluationInput:
        return evaluated_candidate(self.use_case, training_set(self.use_case.task, 4 * ROWS))

    @cached_property
    def export(self) -> ExportFacts:
        return ExportFacts(parity=1e-7, size_mb=1.5)

    @cached_property
    def url(self) -> str:
        app = TestClient(create_app(self.services.settings))
        return self._opened.enter_context(_Bridge(self._opened.enter_context(app))).url

    @cached_property
    def noria(self) -> NoriaClient | AsyncNoriaClient:
        if self._asynchronous:
            return AsyncNoriaClient(self.url, retries=0)
        return self._opened.enter_context(NoriaClient(self.url, retries=0))


def _fill(services: InMemoryServices) -> None:
    """A use case with its dbt models, features and labels of four months, and version 0."""
    use_case = a_use_case(
        services.settings.use_cases,
        training={"min_labels": 10, "test_window": "20d"},
        rollout={"steps": [5, 100], "bake": "2m"},
    )
    _write_model(services.settings.dbt_project, use_case.features.model, FEATURE_TYPES)
    _write_model(services.settings.dbt_project, use_case.label.model, LABEL_TYPES)
    parcels = _parcels()
    services.features.put_features(use_case, parcels.select(list(FEATURE_TYPES)))
    services.features.put_labels(use_case, parcels.select(list(LABEL_TYPES)))
    training.ensure_baseline(services, use_case)


def _parcels() -> pa.Table:
    """Parcels of January to April 2024, with labels that were known a day later."""
    columns = made_up_columns(ROWS)
    known_at = [at + timedelta(days=1) for at in columns["promised_at"]]
    moment = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "parcel_id": [f"P{row}" for row in range(ROWS)],
            "promised_at": pa.array(columns["promised_at"], moment),
            **{name: pa.array(columns[name], from_pandas=True) for name in ("weight", "hour", "depot", "late")},
            "label_known_at": pa.array(known_at, moment),
        }
    )


def _write_model(project: Path, name: str, types: dict[str, str]) -> None:
    folder = project / "models"
    folder.mkdir(parents=True, exist_ok=True)
    columns = "".join(f"      - {{name: {column}, data_type: {kind}}}\n" for column, kind in types.items())
    (folder / f"{name}.sql").write_text("select 1\n", encoding="utf-8")
    (folder / f"{name}.yml").write_text(f"models:\n  - name: {name}\n    columns:\n{columns}", encoding="utf-8")


class _Bridge:
    """An HTTP server on a free port that hands each request to an app in this process."""

    def __init__(self, app: TestClient) -> None:
        handler = type("Handler", (_Handler,), {"app": app})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> _Bridge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    app: TestClient

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = self.app.request(self.command, self.path, content=sent, headers=dict(self.headers.items()))
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass
