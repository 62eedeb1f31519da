"""Requests for predictions through ASGI: those that the fast path leaves, and all of them under another server."""

from __future__ import annotations

import zlib
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.contract.errors import MethodError
from serving.http.predict_response import PendingResponse, PredictResponder, use_case_of
from serving.http.request_head import RequestHead, body_of, head_of
from serving.observability import structured_log
from serving.predict.instances import read_body

if TYPE_CHECKING:
    from serving.http.app_services import AppServices

_PACKED_FROM = 16 * 1024
"""Bytes of a response from which on it is packed for callers that can unpack it."""


class PredictMiddleware:
    """Answers `/v1/{use_case}/predict`, and passes every other request on."""

    def __init__(self, app: ASGIApp, services: AppServices, responder: PredictResponder) -> None:
        self._app = app
        self._services = services
        self._responder = responder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        name = use_case_of(scope["path"]) if scope["type"] == "http" else None
        if name is None:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        head = head_of(scope["headers"], self._services.clock.now())
        response = PendingResponse(self._services.models.find(name), [(b"x-request-id", head.request_id.encode())])
        structured_log.request_id.set(head.request_id)
        try:
            await self._answer(name, scope, receive, response, head)
        except Exception as error:
            self._responder.refuse(response, error, head)
        self._responder.count(response, head, perf_counter() - started)
        await _send(response, send, packed=head.unpacks)

    async def _answer(self, name: str, scope: Scope, receive: Receive, response: PendingResponse, head: RequestHead) -> None:
        if scope["method"] != "POST":
            raise MethodError(scope["method"], scope["path"], "POST")
        context = self._responder.admit(name, head, scope["query_string"], response, self._services.clock.now())
        model = self._services.models.get(name)
        body = await body_of(receive, head)
        wanted = model.request_schema.read(body) or read_body(body, model)
        self._responder.fill(response, await self._services.predictions.answer(model, wanted, context))


async def _send(response: PendingResponse, send: Send, *, packed: bool) -> None:
    if packed and len(response.content) >= _PACKED_FROM:
        _pack(response)
    response.headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.content})


def _pack(response: PendingResponse) -> None:
    packer = zlib.compressobj(1, wbits=31)
    response.content = packer.compress(response.content) + packer.flush()
    response.headers += ((b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
