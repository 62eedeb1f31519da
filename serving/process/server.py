"""One process that answers: uvicorn, with a stop that loses no request.

Steps after SIGTERM:

1. `/readyz` says draining, and every request is still answered: the load balancer has time to choose another process.
2. No new connection is accepted, except those in the queue.
3. Every response asks its client to close the connection. An idle connection is closed after half a second.
4. Requests that are being answered are finished, within ten seconds; then the lifespan ends, which stores the journal.
"""

from __future__ import annotations

import asyncio
import select
import signal
import socket
from collections.abc import Sequence
from time import monotonic
from types import FrameType

import uvicorn
from fastapi import FastAPI

from serving.http.fast_protocol import FastProtocol, HeaderTimeoutProtocol
from serving.observability.lifecycle import lifecycle_of
from serving.process.listener import accept_no_more
from serving.process.worker_pool import WorkerContext

_GRACE_SECONDS = 10
"""Time for requests to finish after SIGTERM."""
_IDLE_SECONDS = 0.5
"""Time that an idle connection stays open after SIGTERM."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep connections (60 s by most defaults), so that none uses one that has just been closed."""
_QUEUE_SECONDS = 5.0
"""Limit for accepting the connections that wait in the queues of the listeners, after SIGTERM."""
_BACKLOG = 2048
_CONNECTIONS = 2000
"""Largest number of connections of one process; more get 503."""


def configure(app: FastAPI, protocol: type[HeaderTimeoutProtocol]) -> uvicorn.Config:
    """Configuration of uvicorn."""
    return uvicorn.Config(
        app,
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,  # requests are counted in /metrics: a line for each would cost more than the prediction
        log_config=None,
        server_header=False,
        backlog=_BACKLOG,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class Server(uvicorn.Server):
    """A server that drains before it stops."""

    def __init__(
        self,
        app: FastAPI,
        drain_seconds: float,
        worker: WorkerContext | None = None,
        protocol: type[HeaderTimeoutProtocol] = FastProtocol,
    ) -> None:
        """Start nothing yet.

        Args:
            app: answers requests.
            drain_seconds: time after SIGTERM in which requests are answered as before.
            worker: socket, pipe and heartbeat from the parent; None without a parent.
            protocol: reads and writes a connection; the default needs the fast path in the app's state.
        """
        super().__init__(configure(app, protocol))
        self._lifecycle = lifecycle_of(app)
        self._lifecycle.starting()
        self._drain_seconds = drain_seconds
        self._worker = worker
        self._leave_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start what runs in the background, then listen."""
        await super().startup(sockets)
        if self._worker is not None:
            asyncio.get_running_loop().add_reader(self._worker.parent, self._orphaned)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))  # the parent had them blocked
        self._lifecycle.started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a worker leaves Ctrl-C to its parent, which stops all workers."""
        if self._worker is not None and sig == signal.SIGINT:
            return
        self._lifecycle.drain()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to shut down now; called ten times a second."""
        if self._worker is not None and counter % 10 == 0:
            self._worker.beat()
        if not await super().on_tick(counter):
            return False
        if self._leave_at is None:
            self._leave_at = monotonic() + self._drain_seconds
        return self.force_exit or monotonic() >= self._leave_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, let requests finish, and stop."""
        await self._close_listeners(sockets or [])
        await self._wait_for_clients()
        await super().shutdown(sockets)

    async def _close_listeners(self, sockets: list[socket.socket]) -> None:
        # responses from here on ask the client to close; uvicorn's own shutdown does so for one under way
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for listener in sockets:
            accept_no_more(listener)
        await asyncio.sleep(0.03)  # handshakes under way end
        await _empty_queues(sockets)
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()

    async def _wait_for_clients(self) -> None:
        until = monotonic() + _IDLE_SECONDS
        while self.server_state.connections and monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.01)

    def _orphaned(self) -> None:
        """Stop, since the parent has died and would never stop this process."""
        if self._worker is not None:
            asyncio.get_running_loop().remove_reader(self._worker.parent)
        signal.raise_signal(signal.SIGTERM)


async def _empty_queues(listeners: Sequence[socket.socket]) -> None:
    """Give the loop a round for each connection to accept: it takes one of each listener in a round."""
    waiting, until = select.poll(), monotonic() + _QUEUE_SECONDS
    for listener in listeners:
        waiting.register(listener, select.POLLIN)
    while waiting.poll(0) and monotonic() < until:
        await asyncio.sleep(0)
