"""One connection: uvicorn's own protocol, which would wait for ever for a request that somebody has begun and never ends."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 30.0
"""How long the head of a request may take: from the connection for the first one, else from its first bytes. How long a
body may take is the routes' matter."""


class HeaderTimeoutProtocol(HttpToolsProtocol):
    """Closes a connection on which the head of a request does not arrive in time.

    A few hundred such connections cost their sender nothing, and would take the place of everybody else.
    """

    _hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._hurry = self.loop.call_later(HEAD_SECONDS, self._close)

    def data_received(self, data: bytes) -> None:
        """Read on; most requests come whole, and cost two comparisons here."""
        super().data_received(data)
        if self._in_head():
            if self._hurry is None:
                self._hurry = self.loop.call_later(HEAD_SECONDS, self._close)
        elif self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close, unless a request is on its way in: its answer will ask the client to close."""
        if not self._in_head():
            super().shutdown()

    def _in_head(self) -> bool:
        """A request has begun, and is not yet what is being answered."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _close(self) -> None:
        self._hurry = None
        self.transport.close()
