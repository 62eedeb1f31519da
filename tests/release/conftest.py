"""A use case whose rule is registered as version 0."""

import pytest

from noria.testing.builders import a_use_case
from noria.testing.fakes.registry import InMemoryRegistry
from tests.release.candidates import a_bundle


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path)


@pytest.fixture
def registry(tmp_path):
    registry = InMemoryRegistry()
    folder, digest = a_bundle(tmp_path / "bundles" / "0", None)
    registry.register_baseline("parcels", folder, digest)
    return registry
