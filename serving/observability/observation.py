"""Counts and times requests of other protocols. Plain ASGI: Starlette's own kind of middleware would halve the speed."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.models.served_model import ServedModel
from serving.observability.metrics import Metrics

_KEY = "noria.model"


def answered_by(scope: Scope, model: ServedModel) -> None:
    """Note the version that answers this request."""
    scope[_KEY] = model


class Observation:
    """Middleware that counts requests for which `answered_by` was called."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # if no response was sent
        started = perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            if model := scope.get(_KEY):
                self._metrics.answered(model, status, perf_counter() - started)
