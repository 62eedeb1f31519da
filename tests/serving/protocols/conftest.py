"""A server without a trained version, and one trained version for each task."""

import pytest
from fastapi.testclient import TestClient

from noria.testing.builders import write_use_case
from serving.app import create_app
from tests.serving.protocols.open_inference import TASKS


@pytest.fixture
def trained(use_cases, make_bundle, on_disk):
    """One use case of each task, each with a trained version; gives the bundles by use case."""
    bundles = {}
    for seed, (name, task) in enumerate(TASKS.items(), 1):
        write_use_case(use_cases, name=name, task=task)
        bundles[name] = make_bundle(seed, use_case=name, task=task)
        on_disk(bundles[name], str(seed))
    return bundles


@pytest.fixture
def client(settings):
    """Version 0 of `parcels`: late from 18 hours on."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client
