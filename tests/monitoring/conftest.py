"""A small use case with real tables in PostgreSQL, a bundle with a reference set, and a real mail catcher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from monitoring.assessment import Assessment, Money, Performance, SegmentFinding
from monitoring.records import record
from noria.bootstrap import Services
from noria.core.bundle import (
    EVALUATION,
    REFERENCE,
    Manifest,
    Provenance,
    baseline_manifest,
    declared_signature,
    write_bundle,
)
from noria.core.drift import FeatureDrift
from noria.core.evaluation import EvaluationReport, SegmentMetrics
from noria.core.interval import Interval
from noria.core.metrics import measure
from noria.core.use_case import UseCase
from noria.core.verdict import Verdict
from noria.data.predictions import replace_batch_predictions
from noria.data.warehouse import Table, append
from noria.governance.audit import Action
from noria.settings import Settings
from noria.testing.builders import a_use_case
from noria.testing.registry import InMemoryRegistry
from tests.notify.catcher import Catcher, mail_catcher

MONITORING = {
    "email": ["logistics@example.com", "owner@example.com"],
    "drift": {"min_rows": 300, "metric_drop": 0.05},
    "retrain": {"after": "2 of 3", "cooldown": "3d", "min_new_labels": 100},
}
THRESHOLD = 0.3
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
FIRST = datetime(2024, 1, 8, tzinfo=UTC)


FEATURES, LABELS = Table("features", "ftr_parcels"), Table("labels", "lbl_parcels")
MAY = Interval.parse("2013-05-01", "2013-06-01")


class Frozen:
    def now(self) -> datetime:
        return NOW


def day(number: int) -> Interval:
    """The n-th day after the model was evaluated."""
    return Interval(FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1))


def draw(rows: int, seed: int, *, heavier: float = 0.0, later: float = 0.0, noise: float = 0.0) -> pa.Table:
    """Features, score and label; `heavier` and `later` move features, `noise` makes the scores worthless."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(2, 4, rows) + heavier
    hour = np.clip(rng.normal(14 + later, 3, rows), 0, 23).round()
    depot = rng.choice(["north", "south", "harbour"], rows, p=[0.5, 0.3, 0.2])
    risk = 1 / (1 + np.exp(-(0.15 * (weight - heavier - 8) + 0.3 * (hour - later - 14) - 1)))
    return pa.table(
        {
            "weight": pa.array(weight, mask=rng.random(rows) < 0.02),
            "hour": hour,
            "depot": depot.tolist(),
            "score": np.where(rng.random(rows) < noise, rng.random(rows), risk),
            "label": rng.random(rows) < risk,
        }
    )


def moved(name: str, distance: float, explanation: str) -> FeatureDrift:
    return FeatureDrift(name=name, distance=distance, drifted=distance >= 0.1, explanation=explanation)


def an_assessment(**changes: Any) -> Assessment:
    found: dict[str, Any] = {
        "use_case": "parcels",
        "start": MAY.start,
        "end": MAY.end,
        "version": "3",
        "verdict": Verdict.DRIFT,
        "reason": "2 of 3 features moved by 0.1 or more",
        "rows": 28_128,
        "reference_rows": 20_000,
        "features": (
            moved("weight", 0.61, "median 6.2 → 11.9 kg"),
            moved("depot", 0.14, "harbour: 20 % → 34 %"),
            moved("hour", 0.03, "median 14 → 13"),
        ),
        "prediction": moved("score", 0.12, "median 0.18 → 0.26"),
        "label": moved("late", 0.04, "yes: 24 % → 27 %"),
        "performance": Performance(
            labelled=27_900,
            positives=7_533,
            metrics={"roc_auc": 0.681, "precision": 0.41, "recall": 0.58, "value": 412.4, "brier": 0.2},
            promised={"roc_auc": 0.71, "precision": 0.44, "recall": 0.61, "value": 598.1},
            baseline={"roc_auc": 0.6, "precision": 0.3, "recall": 0.52, "value": -120.5},
        ),
        "segments": (
            SegmentFinding(
                segment="depot",
                value="harbour",
                rows=9_100,
                labelled=9_000,
                distance=0.31,
                roc_auc=0.58,
                promised_roc_auc=0.69,
                gain_per_1000=-120.0,
            ),
        ),
        "money": Money(
            currency="EUR", decisions=28_128, labelled=27_900, value=11_505.96, baseline_value=-3_362, cost=121.4
        ),
    }
    return Assessment(**{**found, **changes})


@dataclass
class World:
    """Everything that monitoring meets."""

    services: Services
    use_case: UseCase
    registry: InMemoryRegistry
    catcher: Catcher
    folder: Path

    def train(self, as_of: datetime, seed: int = 1) -> str:
        """Register a version with its own reference set, and put it in force."""
        table = draw(4_000, seed)
        labels, scores = np.array(table["label"].to_pylist()), np.array(table["score"].to_pylist())
        value = self.use_case.business.value
        metrics = measure(labels, scores, THRESHOLD, value)
        depots = np.array(table["depot"].to_pylist())
        segments = tuple(
            SegmentMetrics(
                segment="depot",
                value=name,
                rows=int((depots == name).sum()),
                judged=True,
                metrics=measure(labels[depots == name], scores[depots == name], THRESHOLD, value),
            )
            for name in ("harbour", "north", "south")
        )
        report = EvaluationReport(
            start="2023-12-01T00:00:00+00:00",
            end="2024-01-01T00:00:00+00:00",
            rows=4_000,
            positives=int(labels.sum()),
            threshold=THRESHOLD,
            metrics=metrics,
            segments=segments,
            parity=0.0,
        )
        folder = self.folder / f"bundle-{seed}"
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        manifest = Manifest(
            use_case=self.use_case.name,
            kind="onnx",
            candidate="linear",
            signature=declared_signature(self.use_case),
            threshold=THRESHOLD,
            provenance=Provenance(as_of=as_of, snapshot=f"snapshot-{seed}", specification="s", seed=seed),
            metrics=metrics,
        )
        files = {REFERENCE: sink.getvalue().to_pybytes(), EVALUATION: report.model_dump_json().encode()}
        digest = write_bundle(folder, manifest, files)
        version = self.registry.register(self.use_case.name, folder, digest, key=f"k{seed}", params={}, tags={})
        self.services.audit.append(
            self.use_case.name,
            Action.PROMOTED,
            version=version.version,
            previous="0",
            as_of=as_of,
            actor="a test",
            reason="it is the best",
            evidence={},
        )
        return version.version

    def score(self, interval: Interval, table: pa.Table, version: str, *, labelled: bool = True) -> None:
        """What data, dbt and score steps leave behind for an interval."""
        step = (interval.end - interval.start) / (len(table) + 1)
        times = [interval.start + index * step for index in range(len(table))]
        names = [f"{interval.start:%m%d}-{index:06d}" for index in range(len(table))]
        features = table.select(["weight", "hour", "depot"])
        moments = pa.array(times, pa.timestamp("us", "UTC"))
        keyed = features.add_column(0, "promised_at", moments).add_column(0, "parcel_id", [names])
        known = pa.array([at + timedelta(hours=20) for at in times], pa.timestamp("us", "UTC"))
        late = table["label"] if labelled else pa.nulls(len(table), pa.bool_())
        labels = pa.table({"parcel_id": names, "promised_at": moments, "late": late, "label_known_at": known})
        with self.services.warehouse.transaction() as connection:
            for where, found in ((FEATURES, keyed), (LABELS, labels)):
                connection.execute(
                    text(f"delete from {where} where promised_at >= :s and promised_at < :e"), _bounds(interval)
                )
                append(connection, where, found)
        scores = np.array(table["score"].to_pylist())
        replace_batch_predictions(self.services.warehouse, self.use_case, interval, version, keyed, scores, THRESHOLD)

    def judged(self, number: int, verdict: str, version: str) -> None:
        """What a monitor step leaves behind for a day, without the work; with enough labels to train on."""
        self.score(day(number), draw(120, number), version)
        interval = {"start": day(number).start, "end": day(number).end}
        found = an_assessment(**interval, version=version, verdict=Verdict(verdict))
        record(self.services.warehouse, found, "", NOW)


def _bounds(interval: Interval) -> dict[str, datetime]:
    return {"s": interval.start, "e": interval.end}


@pytest.fixture(scope="session")
def catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catcher]:
    with mail_catcher(tmp_path_factory.mktemp("mail")) as running:
        yield running


@pytest.fixture
def world(database_url: str, tmp_path: Path, catcher: Catcher) -> Iterator[World]:
    use_case = a_use_case(tmp_path / "use_cases", monitoring=MONITORING)
    settings = Settings(
        home=tmp_path,
        use_cases=tmp_path / "use_cases",
        warehouse_url=SecretStr(database_url),
        smtp_port=catcher.smtp_port,
        airflow_url="http://airflow.example.com",
        serving_url="http://serving.example.com",
    )
    services = Services(settings=settings, clock=Frozen())
    registry = InMemoryRegistry()
    services.__dict__["registry"] = registry
    rule = tmp_path / "rule"
    registry.register_baseline(use_case.name, rule, write_bundle(rule, baseline_manifest(use_case), {}))
    with services.warehouse.transaction() as connection:
        connection.execute(
            text(
                "create table features.ftr_parcels (parcel_id text, promised_at timestamptz, weight double precision, "
                "hour double precision, depot text);"
                "create table labels.lbl_parcels (parcel_id text, promised_at timestamptz, late boolean, "
                "label_known_at timestamptz)"
            )
        )
    yield World(services, use_case, registry, catcher, tmp_path)
    services.warehouse.close()
