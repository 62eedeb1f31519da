"""Fixtures that every room of the tests may use: a real PostgreSQL, and a fresh database for each test."""

from __future__ import annotations

import ast
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from noria.data.migrations.schema import migrate
from noria.data.postgres.warehouse import Warehouse
from noria.local.postgres import PostgresServer
from noria.ports.audit_trail import AuditTrail
from noria.release.audit import PostgresAuditTrail
from noria.testing.clock import TickingClock
from noria.testing.fakes.audit_trail import InMemoryAuditTrail
from noria.testing.free_ports import free_port
from noria.testing.mlflow_server import MlflowServer

PROJECT = Path(__file__).resolve().parent.parent
"""The root of the project."""


def skip_without(present: object, reason: str) -> None:
    """Skip a test whose tool is missing; in CI (variable `CI`) fail instead, so that no proof is lost in silence.

    Args:
        present: false if the tool is missing.
        reason: names the tool, and how to get it.
    """
    if not present:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


QUICK = "not server and not slow"
"""The expression of `make quick`."""
SERVER_FIXTURES = frozenset({"postgres", "_catcher", "catcher", "stack", "airflow"})
"""Fixtures that start a server; a fixture that builds on one of them needs no entry."""
SERVER_MARKERS = frozenset({"postgres", "e2e"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that needs a server, as its fixtures tell."""
    for item in items:
        names = frozenset(getattr(item, "fixturenames", ())) | {marker.name for marker in item.iter_markers()}
        if names & (SERVER_FIXTURES | SERVER_MARKERS):
            item.add_marker(pytest.mark.server)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file out of `make quick` if all of it is marked, before its imports take time."""
    if config.option.markexpr != QUICK or collection_path.suffix != ".py":
        return None
    return True if _is_marked_whole(collection_path) else None


def _is_marked_whole(path: Path) -> bool:
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    marks = [node for node in statements if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"]
    names = {name.attr for mark in marks for name in ast.walk(mark) if isinstance(name, ast.Attribute)}
    return bool(names & {"slow", "server", *SERVER_MARKERS})


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL server for the whole session."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), free_port())
    server.start(durable=False)
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """URL of an empty database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> str:
    """Name of a database with Noria's tables, without rows; tests copy it."""
    name = "migrated"
    postgres.create_database(name)
    warehouse = Warehouse(postgres.url(name))
    migrate(warehouse)
    warehouse.close()
    return name


@pytest.fixture
def warehouse_url(postgres: PostgresServer, migrated_database: str) -> Iterator[str]:
    """URL of a database with Noria's tables, without rows, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name, template=migrated_database)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def mlflow_url(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real MLflow server on PostgreSQL, with proxied artifacts, for the whole session."""
    postgres.create_database("mlflow_tests")
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"), postgres.url("mlflow_tests"))
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def project() -> Path:
    """The root of the project."""
    return PROJECT


@pytest.fixture
def engine(warehouse_url: str) -> Iterator[sa.Engine]:
    warehouse = Warehouse(warehouse_url)
    yield warehouse.engine
    warehouse.close()


@pytest.fixture
def postgres_audit(engine: sa.Engine) -> PostgresAuditTrail:
    """An audit trail in PostgreSQL."""
    return PostgresAuditTrail(engine, TickingClock())


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def audit(request: pytest.FixtureRequest) -> AuditTrail:
    """An audit trail: the fake, and the real one."""
    if request.param == "memory":
        return InMemoryAuditTrail(TickingClock())
    trail: PostgresAuditTrail = request.getfixturevalue("postgres_audit")
    return trail
