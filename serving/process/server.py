"""One process that answers: uvicorn, with an end that loses nobody.

Told to stop, it goes through these, one after the other:

1. `/readyz` says draining, and everything is still answered: whoever balances the load has time to look elsewhere.
2. Nobody new is let in; those who were connected are accepted.
3. Every answer asks its client to close the connection. Who keeps one open and asks nothing is given half a second.
4. What is being answered is finished, within ten seconds; then the lifespan ends, which stores what the journal holds.
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
"""How long requests may take to finish after SIGTERM."""
_IDLE_SECONDS = 0.5
"""How long a connection on which nothing is asked stays open after SIGTERM."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than a load balancer keeps its own end (60 s, most say), so that none sends into a connection that just closed."""
_QUEUE_SECONDS = 5.0
"""Limit for accepting the connections that wait in the queues of the listeners, after SIGTERM."""
_BACKLOG = 2048
_CONNECTIONS = 2000
"""At once, of one process; more get 503."""


def configure(app: FastAPI, protocol: type[HeaderTimeoutProtocol]) -> uvicorn.Config:
    """How uvicorn is to run."""
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
        post: WorkerContext | None = None,
        protocol: type[HeaderTimeoutProtocol] = FastProtocol,
    ) -> None:
        """Make it.

        Args:
            app: what answers.
            drain_seconds: how long everything is answered as before, after SIGTERM.
            post: what a parent gave this process to work with; None where there is no parent.
            protocol: reads and writes a connection; the default needs the app to have a lane.
        """
        super().__init__(configure(app, protocol))
        self._lifecycle = lifecycle_of(app)
        self._lifecycle.starting()
        self._drain_seconds = drain_seconds
        self._post = post
        self._leave_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start what runs in the background, then listen."""
        await super().startup(sockets)
        if self._post is not None:
            asyncio.get_running_loop().add_reader(self._post.parent, self._orphaned)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))  # the parent had them blocked
        self._lifecycle.started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a worker leaves Ctrl-C to its parent, which tells every worker in order."""
        if self._post is not None and sig == signal.SIGINT:
            return
        self._lifecycle.drain()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to shut down now; looked at ten times a second."""
        if self._post is not None and counter % 10 == 0:
            self._post.beat()
        if not await super().on_tick(counter):
            return False
        if self._leave_at is None:
            self._leave_at = monotonic() + self._drain_seconds
        return self.force_exit or monotonic() >= self._leave_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the doors, let those inside finish, and stop."""
        await self._close_doors(sockets or [])
        await self._let_leave()
        await super().shutdown(sockets)

    async def _close_doors(self, sockets: list[socket.socket]) -> None:
        # whoever is answered from here on is asked to close; an answer under way is told by uvicorn's own shutdown
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for listener in sockets:
            accept_no_more(listener)
        await asyncio.sleep(0.03)  # handshakes that are under way end
        await _empty_queues(sockets)
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()

    async def _let_leave(self) -> None:
        until = monotonic() + _IDLE_SECONDS
        while self.server_state.connections and monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.01)

    def _orphaned(self) -> None:
        """The parent has gone without a word: nobody would ever stop this process."""
        if self._post is not None:
            asyncio.get_running_loop().remove_reader(self._post.parent)
        signal.raise_signal(signal.SIGTERM)


async def _empty_queues(listeners: Sequence[socket.socket]) -> None:
    """Give the loop as many rounds as there are connections to accept: it takes one of each listener in a round."""
    waiting, until = select.poll(), monotonic() + _QUEUE_SECONDS
    for listener in listeners:
        waiting.register(listener, select.POLLIN)
    while waiting.poll(0) and monotonic() < until:
        await asyncio.sleep(0)
