"""The fast lane: `POST /v1/{use_case}/predict`, answered in front of FastAPI.

A prediction takes less time than FastAPI needs to route a request, so this one route goes without: headers are looked at
once, the body is decoded straight into the version's own types, and the answer leaves as bytes. What needs no waiting is
answered in one call, `at_once`, which `serving.http.fast_protocol` makes as soon as the last byte has come; whatever has
to wait for a database or a thread goes through ASGI, as everything else does.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from noria.core.base.api_key import Scope as AccessScope
from serving.contract.errors import MalformedBodyError, MethodError
from serving.http.error_handlers import problem_of
from serving.http.microbatch import MicroBatcher, PendingRequest
from serving.http.request_head import RequestHead, body_of, head_of
from serving.models.served_model import ServedModel
from serving.observability import structured_log
from serving.observability.structured_log import RefusalLog
from serving.observability.tracing import AnsweredRequest
from serving.predict.instances import read_body
from serving.predict.prediction import AnsweredPrediction, PredictResult, RequestContext, alias_of

if TYPE_CHECKING:
    from serving.contract.request_schema import PredictBody
    from serving.http.app_services import AppServices

_PACKED_FROM = 16 * 1024
"""Bytes of an answer from which on it is packed for callers that can unpack it."""
_MOST_REASONS = 20
_START, _END = "/v1/", "/predict"
_JSON = (b"content-type", b"application/json")
_UNLOGGED = (b"x-noria-unlogged", b"true")
_encode = msgspec.json.Encoder().encode


class PredictResponse(msgspec.Struct, gc=False):
    """What is sent back."""

    use_case: str
    version: str
    predictions: list[AnsweredPrediction]


@dataclass(slots=True)
class PendingResponse:
    """An answer in the making.

    Attributes:
        model: whose it is; None where there is no such use case.
    """

    model: ServedModel | None
    headers: list[tuple[bytes, bytes]]
    status: int = 200
    content: bytes = b""
    rows: int = 0
    """Instances predicted."""


def use_case_of(path: str) -> str | None:
    """Whose predictions a path asks for; None where it asks for something else."""
    if not path.startswith(_START) or not path.endswith(_END):
        return None
    name = path[len(_START) : -len(_END)]
    return None if "/" in name else name


class FastPath:
    """Takes requests for predictions, and passes every other one on."""

    def __init__(self, app: ASGIApp, parts: AppServices) -> None:
        self._app = app
        self._parts = parts
        self._refusals = RefusalLog()
        self._together = MicroBatcher(parts.service)

    def at_once(
        self,
        name: str,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        done: Callable[[PendingResponse], None],
    ) -> bool:
        """Answer a POST whose body is here; false, with nothing done, where the answer has to be waited for.

        Args:
            name: of the use case, as the path has it.
            query: what stands behind the question mark.
            headers: names in lower case.
            body: at most `serving.http.request_head.MAX_BYTES`.
            done: is told the answer, before this returns or a moment later.
        """
        started = perf_counter()
        parts = self._parts
        model, now = parts.models.find(name), parts.clock.now()
        head = head_of(headers, now)
        wanted = None if model is None or head.packed else model.contract.read(body)
        if head.packed or (model is not None and wanted is not None and not parts.service.is_quick(model, wanted, query)):
            return False
        reply = PendingResponse(model, [(b"x-request-id", head.request_id.encode())])

        def finish(outcome: PredictResult | Exception) -> None:
            if isinstance(outcome, Exception):
                self._refuse(reply, outcome, head)
            else:
                self._fill(reply, outcome)
            self._tell(reply, head, perf_counter() - started)
            done(reply)

        try:
            asked = self._admit(name, head, query, reply, now)
            model = reply.model = model or parts.models.get(name)
            if wanted is None:
                wanted = read_body(body, model)  # raises, but for what only looked wrong
                if not parts.service.is_quick(model, wanted, query):
                    return False
            instances = model.protected(wanted.instances)
            if parts.service.may_wait_for_others(model, asked, len(instances)):
                self._together.add(PendingRequest(model, instances[0], asked, finish))
                return True
            outcome: PredictResult | Exception = parts.service.answer_protected(model, instances, asked)
        except Exception as error:
            outcome = error
        finish(outcome)
        return True

    def flush(self) -> None:
        """Answer now whoever waits for others."""
        self._together.flush()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        name = use_case_of(scope["path"]) if scope["type"] == "http" else None
        if name is None:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        head = head_of(scope["headers"], self._parts.clock.now())
        reply = PendingResponse(self._parts.models.find(name), [(b"x-request-id", head.request_id.encode())])
        structured_log.request_id.set(head.request_id)
        try:
            await self._answer(name, scope, receive, reply, head)
        except Exception as error:
            self._refuse(reply, error, head)
        self._tell(reply, head, perf_counter() - started)
        if head.unpacks and len(reply.content) >= _PACKED_FROM:
            _pack(reply)
        reply.headers.append((b"content-length", str(len(reply.content)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.content})

    async def _answer(self, name: str, scope: Scope, receive: Receive, reply: PendingResponse, head: RequestHead) -> None:
        if scope["method"] != "POST":
            raise MethodError(scope["method"], scope["path"], "POST")
        asked = self._admit(name, head, scope["query_string"], reply, self._parts.clock.now())
        model = self._parts.models.get(name)
        body = await body_of(receive, head)
        wanted: PredictBody = model.contract.read(body) or read_body(body, model)
        self._fill(reply, await self._parts.service.answer(model, wanted, asked))

    def _admit(self, name: str, head: RequestHead, query: bytes, reply: PendingResponse, now: datetime) -> RequestContext:
        parts = self._parts
        admitted = parts.gate.authenticate(head.authorization, name, AccessScope.PREDICT)
        reply.headers += admitted.headers
        return RequestContext(head.request_id, admitted.caller, now, _reasons(query))

    @staticmethod
    def _fill(reply: PendingResponse, predicted: PredictResult) -> None:
        model = reply.model
        name, version = (model.name, model.version) if model else ("", "")
        reply.content = _encode(PredictResponse(name, version, predicted.predictions))
        reply.headers.append(_JSON)
        reply.rows = len(predicted.predictions)
        if not predicted.logged:
            reply.headers.append(_UNLOGGED)

    def _refuse(self, reply: PendingResponse, error: Exception, head: RequestHead) -> None:
        problem = problem_of(error, request_id=head.request_id)
        reply.status, reply.content = problem.status, problem.body
        reply.headers += problem.headers
        wrong = [found.where for found in getattr(error, "problems", ())]
        self._refusals.tell(problem.status, problem.slug, reply.model.name if reply.model else "", wrong, head.request_id)

    def _tell(self, reply: PendingResponse, head: RequestHead, seconds: float) -> None:
        """Count the answer, and tell whoever collects traces."""
        model = reply.model
        self._parts.metrics.answered(model, reply.status, seconds)
        if traces := self._parts.tracing.traces:
            name, version, alias = (model.name, model.version, alias_of(model)) if model else ("", "", "")
            told = AnsweredRequest(name, version, alias, reply.rows, head.request_id, reply.status, seconds)
            traces.answered(head.traceparent, told)


def _reasons(query: bytes) -> int:
    """How many reasons are wanted.

    Raises:
        MalformedBodyError: no number of reasons.
    """
    if not query:
        return 0
    asked = parse_qs(query.decode("latin-1")).get("reasons", ["0"])[-1]
    if not asked.isdecimal() or int(asked) > _MOST_REASONS:
        raise MalformedBodyError(f"reasons is {asked[:20]!r}, expected a number from 0 to {_MOST_REASONS}; send ?reasons=3")
    return int(asked)


def _pack(reply: PendingResponse) -> None:
    packer = zlib.compressobj(1, wbits=31)
    reply.content = packer.compress(reply.content) + packer.flush()
    reply.headers += ((b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
