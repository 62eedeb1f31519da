"""A small use case with real tables in PostgreSQL, a bundle with a reference set, and a real mail catcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from noria.bootstrap import Services
from noria.core.base.interval import Interval
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.drift_report import DriftReport, LedgerEntry, Performance, SegmentFinding
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import Provenance, baseline_manifest
from noria.core.stats.drift import FeatureDrift
from noria.core.use_case import Task, UseCase
from noria.data.postgres.warehouse import Table, append
from noria.data.tables.predictions import replace_batch_predictions
from noria.data.tables.verdicts import PostgresVerdictStore
from noria.io.bundle_files import write_bundle
from noria.settings import Settings
from noria.testing.builders import a_use_case
from noria.testing.clock import ManualClock
from noria.testing.fakes.registry import InMemoryRegistry
from tests.monitoring.made_up import Parcels, make_bundle, make_up
from tests.notify.catcher import Catcher, mail_catcher
from tests.release.test_audit import note

MONITORING = {
    "email": ["logistics@example.com", "owner@example.com"],
    "drift": {"min_rows": 300, "metric_drop": 0.05},
    "retrain": {"after": "2 of 3", "cooldown": "3d", "min_new_labels": 100},
}
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
FIRST = datetime(2024, 1, 8, tzinfo=UTC)


_LABEL_TYPES = {Task.BINARY_CLASSIFICATION: "boolean", Task.MULTICLASS: "text", Task.REGRESSION: "double precision"}
FEATURES, LABELS = Table("features", "ftr_parcels"), Table("labels", "lbl_parcels")
MAY = Interval.parse("2013-05-01", "2013-06-01")


def day(number: int) -> Interval:
    """The n-th day after the model was evaluated."""
    return Interval(FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1))


def moved(name: str, distance: float, explanation: str) -> FeatureDrift:
    return FeatureDrift(name=name, distance=distance, drifted=distance >= 0.1, explanation=explanation)


def an_assessment(**changes: Any) -> DriftReport:
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
                metric="roc_auc",
                found=0.58,
                promised=0.69,
                gain_per_1000=-120.0,
            ),
        ),
        "money": LedgerEntry(
            currency="EUR", decisions=28_128, labelled=27_900, value=11_505.96, baseline_value=-3_362, cost=121.4
        ),
    }
    return DriftReport(**{**found, **changes})


def numbers_that_got_worse() -> DriftReport:
    """The same interval of a regression, with a loss of quality."""
    return an_assessment(
        task=Task.REGRESSION,
        verdict=Verdict.QUALITY_LOSS,
        reason="Weighted percentage error 26.1 % on 27,900 labels; 19.8 % when it was evaluated",
        prediction=moved("prediction", 0.12, "median 41.2 → 48.9"),
        label=moved("minutes_late", 0.14, "median 40.8 → 52.3"),
        performance=Performance(
            labelled=27_900,
            metrics={"wape": 0.261, "mae": 13.4, "rmse": 21.0, "bias": -4.26, "value": -2_790.0},
            promised={"wape": 0.198, "mae": 8.1, "rmse": 12.0, "bias": 0.112, "value": -1_640.0},
            baseline={"wape": 0.412, "mae": 21.2, "rmse": 30.0, "bias": -11.9, "value": -4_870.5},
        ),
        segments=(
            SegmentFinding(
                segment="depot",
                value="harbour",
                rows=9_100,
                labelled=9_000,
                distance=0.31,
                metric="wape",
                found=0.371,
                promised=0.204,
                gain_per_1000=-120.0,
            ),
        ),
        money=LedgerEntry(
            currency="EUR", decisions=28_128, labelled=27_900, value=-77_841.0, baseline_value=-135_886.95, cost=121.4
        ),
    )


def classes_that_moved() -> DriftReport:
    """The same interval of a choice among classes."""
    return an_assessment(
        task=Task.MULTICLASS,
        prediction=moved("decision", 0.22, "late: 18 % → 42 %"),
        label=moved("outcome", 0.15, "late: 28 % → 44 %"),
        performance=Performance(
            labelled=27_900,
            metrics={"roc_auc": 0.682, "log_loss": 0.81, "accuracy": 0.642, "macro_f1": 0.441, "value": 213.1},
            promised={"roc_auc": 0.728, "log_loss": 0.688, "accuracy": 0.71, "macro_f1": 0.425, "value": 362.0},
            baseline={"roc_auc": 0.541, "log_loss": 16.3, "accuracy": 0.547, "macro_f1": 0.325, "value": 22.75},
        ),
        money=LedgerEntry(
            currency="EUR", decisions=28_128, labelled=27_900, value=5_945.5, baseline_value=634.7, cost=121.4
        ),
    )


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
        folder, parcels = self.folder / f"bundle-{seed}", make_up(self.use_case, 4_000, seed)
        provenance = Provenance(as_of=as_of, snapshot=f"snapshot-{seed}", specification="s", seed=seed)
        digest = make_bundle(folder, self.use_case, parcels, provenance=provenance)
        version = self.registry.register(
            self.use_case.name,
            folder,
            digest,
            key=f"k{seed}",
            params={},
            outcome=GateOutcome(passed=True, summary="", judged_against="0"),
        )
        note(self.services.audit, Action.PROMOTED, version.version, as_of=as_of, use_case=self.use_case.name)
        return version.version

    def draw(self, rows: int, seed: int, **moved: float) -> Parcels:
        """Made-up rows of this use case."""
        return make_up(self.use_case, rows, seed, **moved)

    def score(self, interval: Interval, parcels: Parcels, version: str, *, labelled: bool = True) -> None:
        """What data, dbt and score steps leave behind for an interval."""
        step = (interval.end - interval.start) / (len(parcels) + 1)
        times = [interval.start + index * step for index in range(len(parcels))]
        names = [f"{interval.start:%m%d}-{index:06d}" for index in range(len(parcels))]
        features = {name: pa.array(values, from_pandas=True) for name, values in parcels.columns.items()}
        moments = pa.array(times, pa.timestamp("us", "UTC"))
        keyed = pa.table({"parcel_id": names, "promised_at": moments, **features})
        known = pa.array([at + timedelta(hours=20) for at in times], pa.timestamp("us", "UTC"))
        came = self._came(parcels)
        label = came if labelled else pa.nulls(len(parcels), came.type)
        column = self.use_case.label.column
        labels = pa.table({"parcel_id": names, "promised_at": moments, column: label, "label_known_at": known})
        with self.services.warehouse.transaction() as connection:
            for where, found in ((FEATURES, keyed), (LABELS, labels)):
                connection.execute(
                    text(f"delete from {where} where promised_at >= :s and promised_at < :e"), _bounds(interval)
                )
                append(connection, where, found)
        replace_batch_predictions(
            self.services.warehouse, self.use_case, interval, version, keyed, parcels.scores, parcels.decisions
        )

    def _came(self, parcels: Parcels) -> pa.Array:
        classes = self.use_case.label.classes
        return pa.array([classes[index] for index in parcels.labels] if classes else parcels.labels)

    def judged(self, number: int, verdict: str, version: str) -> None:
        """What a monitor step leaves behind for a day, without the work; with enough labels to train on."""
        self.score(day(number), self.draw(120, number), version)
        interval = {"start": day(number).start, "end": day(number).end}
        found = an_assessment(**interval, version=version, verdict=Verdict(verdict))
        PostgresVerdictStore(self.services.warehouse).record(found, "", NOW)


def _bounds(interval: Interval) -> dict[str, datetime]:
    return {"s": interval.start, "e": interval.end}


@pytest.fixture(scope="session")
def catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catcher]:
    with mail_catcher(tmp_path_factory.mktemp("mail")) as running:
        yield running


@pytest.fixture
def world_of(warehouse_url: str, tmp_path: Path, catcher: Catcher) -> Iterator[Callable[[Task], World]]:
    settings = Settings(
        home=tmp_path,
        use_cases=tmp_path / "use_cases",
        warehouse_url=SecretStr(warehouse_url),
        smtp_port=catcher.smtp_port,
        airflow_url="http://airflow.example.com",
        serving_url="http://serving.example.com",
    )
    services = Services(settings=settings, clock=ManualClock(NOW))

    def build(task: Task) -> World:
        use_case = a_use_case(tmp_path / "use_cases", task=task.value, monitoring=MONITORING)
        registry = InMemoryRegistry()
        services.__dict__["registry"] = registry
        rule = tmp_path / "rule"
        registry.register_baseline(use_case.name, rule, write_bundle(rule, baseline_manifest(use_case), {}))
        with services.warehouse.transaction() as connection:
            connection.execute(
                text(
                    "create table features.ftr_parcels (parcel_id text, promised_at timestamptz, weight double precision, "
                    "hour double precision, depot text);"
                    f"create table labels.lbl_parcels (parcel_id text, promised_at timestamptz, "
                    f"{use_case.label.column} {_LABEL_TYPES[task]}, label_known_at timestamptz)"
                )
            )
        return World(services, use_case, registry, catcher, tmp_path)

    yield build
    services.warehouse.close()


@pytest.fixture
def world(world_of: Callable[[Task], World]) -> World:
    return world_of(Task.BINARY_CLASSIFICATION)
