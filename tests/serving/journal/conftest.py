"""An empty journal."""

import pytest

from noria.io.clock import SystemClock
from serving.journal.journal import Journal


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", SystemClock())
