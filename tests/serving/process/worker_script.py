"""A parent process with workers, run by the tests in a process of its own: requests decide how a worker ends."""

from __future__ import annotations

import os
import signal
import sys
import time

from fastapi import FastAPI, Response

from serving.http.fast_protocol import HeaderTimeoutProtocol
from serving.observability import structured_log
from serving.observability.lifecycle import lifecycle_of
from serving.observability.shared_metrics import SharedMetrics
from serving.process.listener import listen_on
from serving.process.server import Server
from serving.process.worker_pool import WorkerContext, WorkerPool


def make_app() -> FastAPI:
    from serving.observability.metrics import Metrics

    metrics = Metrics()
    app = FastAPI()

    @app.get("/pid")
    async def pid() -> int:
        metrics.answered(None, 200, 0.001)
        return os.getpid()

    @app.get("/die")
    async def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @app.get("/hang")
    async def hang() -> None:
        time.sleep(600)  # so that the event loop stands still

    @app.get("/busy")
    async def busy() -> None:
        time.sleep(1)  # so that connections wait to be accepted

    @app.get("/phase")
    async def phase() -> str:
        return lifecycle_of(app).phase

    @app.get("/metrics")
    def show() -> Response:
        return Response(metrics.text())

    return app


def main(port: int, workers: int, drain_seconds: float) -> int:
    structured_log.configure("text")
    listeners = listen_on("127.0.0.1", port, workers)
    if workers == 1:
        Server(make_app(), drain_seconds, protocol=HeaderTimeoutProtocol).run(sockets=listeners)
        return 0
    shared = SharedMetrics()
    app = make_app()
    shared.forget_parent()

    def work(worker: WorkerContext) -> int:
        shared.write_as(worker.number)
        structured_log.speak_as(worker.number)
        if drain_seconds < 0:
            raise RuntimeError("cannot work")
        Server(app, drain_seconds, worker, HeaderTimeoutProtocol).run(sockets=[worker.listener])
        return 0

    stop_signal = WorkerPool(listeners, work, shared.on_exit, silent_seconds=3).run()
    shared.remove()
    if stop_signal:
        signal.raise_signal(stop_signal)
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
