import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from noria.core.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.local.postgres import PostgresServer
from noria.testing.builders import a_use_case, use_case_fields
from noria.testing.snapshots import START, made_up_columns, write_snapshot
from noria.training.dataset import TrainingSet, read_snapshot

AS_OF = START + timedelta(days=121)


def parcels(root: Path, **changes: Any) -> UseCase:
    """The small use case, with a feature of many categories and a search of a few trials."""
    features = use_case_fields()["features"] | {"categorical": ["depot", "street"]}
    training = {"trials": 6, "minutes": 2, "workers": 2, "test_window": "20d"} | changes.pop("training", {})
    return a_use_case(root, **{"features": features, "training": training, **changes})


@pytest.fixture(scope="session")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    return parcels(tmp_path_factory.mktemp("use_cases"))


@pytest.fixture(scope="session")
def snapshot(use_case: UseCase, tmp_path_factory: pytest.TempPathFactory) -> SnapshotRef:
    return write_snapshot(tmp_path_factory.mktemp("snapshots"), use_case, made_up_columns(8000), AS_OF)


@pytest.fixture(scope="session")
def rows(use_case: UseCase, snapshot: SnapshotRef) -> TrainingSet:
    return read_snapshot(use_case, snapshot)


@pytest.fixture(scope="session")
def searched_url(postgres: PostgresServer, use_case: UseCase, snapshot: SnapshotRef) -> Iterator[str]:
    """A database with a finished study of the snapshot."""
    from noria.training.search import run_worker

    name = f"searched_{uuid.uuid4().hex[:8]}"
    postgres.create_database(name)
    run_worker(use_case, snapshot, 0, storage_url=postgres.url(name))
    yield postgres.url(name)
    postgres.drop_database(name)
