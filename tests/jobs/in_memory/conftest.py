"""Services and a use case without any server."""

from __future__ import annotations

from pathlib import Path

import pytest

from noria.core.use_case import UseCase
from noria.testing.builders import a_use_case
from noria.testing.fakes.services import InMemoryServices, in_memory_services


@pytest.fixture
def services(tmp_path: Path) -> InMemoryServices:
    return in_memory_services(tmp_path)


@pytest.fixture
def use_case(services: InMemoryServices) -> UseCase:
    return a_use_case(services.settings.use_cases, training={"min_labels": 10})
