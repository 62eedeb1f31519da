import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from noria.core.base.results import SnapshotRef
from noria.core.use_case import Task, UseCase
from noria.local.postgres import PostgresServer
from noria.testing.builders import a_use_case, use_case_fields
from noria.testing.snapshots import OUTCOMES, START, made_up_columns, write_snapshot
from noria.training.data.dataset import TrainingSet, read_snapshot, snapshot_schema
from noria.training.models.base.estimator import EncodedRows, FitData, Metric

AS_OF = START + timedelta(days=121)


def parcels(root: Path, **changes: Any) -> UseCase:
    """The small use case, with a feature of many categories and a search of a few trials."""
    features = use_case_fields()["features"] | {"categorical": ["depot", "street"]}
    training = {"trials": 6, "minutes": 2, "workers": 2, "test_window": "20d"} | changes.pop("training", {})
    return a_use_case(root, **{"features": features, "training": training, **changes})


def fit_data(training: tuple[Any, Any], validation: tuple[Any, Any], metric: Metric = lambda *_: 0.0) -> FitData:
    """Training and validation rows as pairs of matrix and labels."""
    return FitData(EncodedRows(*training), EncodedRows(*validation), metric)


OUTCOME_VALUE = {
    "on_time": {"on_time": 0, "late": -3, "lost": -20},
    "late": {"on_time": -1, "late": 5, "lost": -10},
    "lost": {"on_time": -4, "late": -4, "lost": 10},
}
OF_TASK: dict[Task, dict[str, Any]] = {
    Task.BINARY_CLASSIFICATION: {},
    Task.MULTICLASS: {
        "task": "multiclass",
        "label": {"model": "lbl_parcels", "column": "outcome", "classes": list(OUTCOMES), "available_after": "1d"},
        "business": {"value": OUTCOME_VALUE, "baseline": "'late' if hour >= 18 else 'on_time'"},
        "gates": [{"metric": "log_loss", "at_most": 1.0}],
    },
    Task.REGRESSION: {
        "task": "regression",
        "label": {"model": "lbl_parcels", "column": "delay", "available_after": "1d"},
        "business": {"value": {"over": -1, "under": -3}, "baseline": "first(weight, 30)"},
        "gates": [{"metric": "rmse", "at_most": 30}],
    },
}
"""What changes in the small use case with its task."""


def parcels_of(task: Task, root: Path, **changes: Any) -> UseCase:
    """The small use case for a task."""
    fields = dict(OF_TASK[task])
    if "business" in fields:
        fields["business"] = use_case_fields()["business"] | fields["business"]
    return parcels(root, **{**fields, **changes})


@pytest.fixture(scope="session", params=list(Task))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, SnapshotRef]:
    """A use case of each task, and a snapshot of few rows."""
    folder = tmp_path_factory.mktemp(request.param)
    use_case = parcels_of(request.param, folder)
    return use_case, write_snapshot(folder / "snapshots", use_case, made_up_columns(3000), AS_OF)


@pytest.fixture(scope="session")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    return parcels(tmp_path_factory.mktemp("use_cases"))


@pytest.fixture(scope="session")
def snapshot(use_case: UseCase, tmp_path_factory: pytest.TempPathFactory) -> SnapshotRef:
    return write_snapshot(tmp_path_factory.mktemp("snapshots"), use_case, made_up_columns(8000), AS_OF)


@pytest.fixture(scope="session")
def rows(use_case: UseCase, snapshot: SnapshotRef) -> TrainingSet:
    return read_snapshot(snapshot_schema(use_case), snapshot)


@pytest.fixture(scope="session")
def searched_url(postgres: PostgresServer, use_case: UseCase, snapshot: SnapshotRef) -> Iterator[str]:
    """A database with a finished study of the snapshot."""
    from noria.training.search.worker import run_worker

    name = f"searched_{uuid.uuid4().hex[:8]}"
    postgres.create_database(name)
    run_worker(use_case, snapshot, 0, storage_url=postgres.url(name))
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A Dask scheduler and two workers in processes of their own, which take about ten seconds to start."""
    from distributed import LocalCluster

    cluster: Any = LocalCluster
    with cluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as running:
        yield running.scheduler_address
