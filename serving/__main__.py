"""`python -m serving`: answers on NORIA_SERVING_HOST and NORIA_SERVING_PORT until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import socket
import sys

from noria.core.base.errors import NoriaError
from noria.settings import Settings, load_settings
from serving.observability import structured_log
from serving.process.listener import listen_on
from serving.process.memory import give_back_memory


def main() -> int:
    """Serve; returns the exit code."""
    try:
        settings = load_settings()
        give_back_memory()
        structured_log.configure(settings.log_format)
        listeners = listen_on(settings.serving_host, settings.serving_port, settings.serving_workers)
        return _alone(settings, listeners[0]) if settings.serving_workers == 1 else _with_workers(settings, listeners)
    except NoriaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:  # Ctrl-C; the server has stopped already
        return 130


def _alone(settings: Settings, listener: socket.socket) -> int:
    from serving.app import create_app  # after the socket: a taken port is reported at once
    from serving.process.server import Server

    server = Server(create_app(settings), settings.serving_drain_seconds)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _with_workers(settings: Settings, listeners: list[socket.socket]) -> int:
    from serving.observability.shared_metrics import SharedMetrics

    shared = SharedMetrics()  # before the app, which creates the counters
    try:
        from serving.app import create_app
        from serving.observability.lifecycle import lifecycle_of
        from serving.process.server import Server
        from serving.process.worker_pool import WorkerContext, WorkerPool

        app = create_app(settings)
        shared.forget_parent()
        lifecycle_of(app).starting()

        def work(worker: WorkerContext) -> int:
            shared.write_as(worker.number)
            structured_log.speak_as(worker.number)
            server = Server(app, settings.serving_drain_seconds, worker)
            server.run(sockets=[worker.listener])
            return 0 if server.started else 1

        stop_signal = WorkerPool(listeners, work, shared.on_exit).run()
    finally:
        shared.remove()
    if stop_signal is not None:
        signal.raise_signal(stop_signal)  # the exit status names the signal
    return 1


if __name__ == "__main__":
    sys.exit(main())
