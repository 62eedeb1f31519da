"""A real mail catcher process, and a real database with Noria's tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from noria.data.postgres.warehouse import Warehouse
from tests.notify.catcher import Catcher, mail_catcher


@pytest.fixture(scope="session")
def _catcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catcher]:
    with mail_catcher(tmp_path_factory.mktemp("mail")) as catcher:
        yield catcher


@pytest.fixture
def catcher(_catcher: Catcher) -> Catcher:
    return _catcher


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    warehouse = Warehouse(warehouse_url)
    yield warehouse
    warehouse.close()
