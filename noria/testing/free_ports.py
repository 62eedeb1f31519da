"""Free TCP ports for servers that tests and benchmarks start."""

from __future__ import annotations

import secrets
import socket

_LOWEST, _COUNT = 15_000, 17_000


def free_port() -> int:
    """A port on 127.0.0.1 that no process listens on, below the range that the kernel hands out.

    The kernel could give a port of its own range to another process in the meantime. A client that keeps connecting to
    such a port could also get it as its own end, and be connected to itself.
    """
    while True:
        port = _LOWEST + secrets.randbelow(_COUNT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
