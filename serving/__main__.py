"""`python -m serving`: answers on NORIA_SERVING_HOST and NORIA_SERVING_PORT until it is told to stop."""

from __future__ import annotations

import errno
import logging
import socket
import sys

import uvicorn

from noria.core.errors import NoriaError, StackError
from noria.settings import Settings, load_settings
from serving.app import create_app

_GRACE_SECONDS = 10
"""How long requests may take to finish after SIGTERM."""


def main() -> int:
    """Serve; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every poll
    try:
        settings = load_settings()
        listener = _listen(settings)
        app = create_app(settings)
    except NoriaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    # requests are counted in /metrics: a line of log for each would cost more than the prediction
    config = uvicorn.Config(app, access_log=False, log_config=None, timeout_graceful_shutdown=_GRACE_SECONDS)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.serving_host, settings.serving_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        cause = "another process listens there" if taken else error.strerror
        message = f"cannot listen on {host} port {port} ({cause}): set NORIA_SERVING_HOST or NORIA_SERVING_PORT"
        raise StackError(message) from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
