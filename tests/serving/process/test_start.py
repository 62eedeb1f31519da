"""`python -m serving` says what is wrong, and what to change."""

import os
import socket
import subprocess
import sys

import pytest

from noria.testing.builders import write_use_case

pytestmark = pytest.mark.slow


def start(settings, port):
    environment = os.environ | {
        "NORIA_HOME": str(settings.home),
        "NORIA_USE_CASES": str(settings.use_cases),
        "NORIA_SERVING_PORT": str(port),
    }
    command = [sys.executable, "-m", "serving"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_a_taken_port_is_named_with_the_setting_that_changes_it(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = start(settings, port)
    assert result.returncode == 1
    assert f"port {port} (another process listens there): set NORIA_SERVING_HOST or NORIA_SERVING_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_use_case_is_explained_where_it_is_the_only_one(settings, use_cases, unused_port):
    write_use_case(use_cases, name="parcels", owner="nobody")
    result = start(settings, unused_port)
    assert result.returncode == 1
    assert "use_cases/parcels/use_case.yaml: owner" in result.stderr
    assert "Traceback" not in result.stderr
