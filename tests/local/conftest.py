import os
import socket

import pytest

from noria.local.ports import Ports


@pytest.fixture
def ports():
    """Six ports that nobody listens on."""
    probes = [socket.socket() for _ in range(6)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return Ports(*numbers)


@pytest.fixture
def umask():
    """The strictest usual umask."""
    before = os.umask(0o077)
    yield
    os.umask(before)
