"""Turns errors into HTTP: the only file with status codes. Stack traces go to the log, never to a caller."""

from __future__ import annotations

import json
import logging
import math
from http import HTTPStatus
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from noria.core.base.errors import InstanceError, NoriaError
from serving.contract.errors import (
    BodyTooLargeError,
    FieldProblem,
    ForbiddenError,
    JournalError,
    JournalFullError,
    ListedError,
    MalformedBodyError,
    MethodError,
    NoReasonsError,
    NotServedError,
    OnlineStoreError,
    SlowBodyError,
    TooManyRequestsError,
    TooSlowError,
    UnauthenticatedError,
    UnknownEntityError,
    UnknownUseCaseError,
    UnscorableError,
)
from serving.http.schemas import FieldReport, ProblemReport
from serving.http.security_headers import data_headers

MEDIA_TYPE = "application/problem+json"
UNREADY = HTTPStatus.SERVICE_UNAVAILABLE.value
_SHOWN = 100
_LATER = 5
"""Seconds after which to try again, if the error does not say."""
_STATUS: dict[type[NoriaError], tuple[HTTPStatus, str]] = {
    MalformedBodyError: (HTTPStatus.BAD_REQUEST, "malformed-body"),
    UnauthenticatedError: (HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    ForbiddenError: (HTTPStatus.FORBIDDEN, "forbidden"),
    UnknownUseCaseError: (HTTPStatus.NOT_FOUND, "unknown-use-case"),
    NotServedError: (HTTPStatus.NOT_FOUND, "not-served"),
    UnknownEntityError: (HTTPStatus.NOT_FOUND, "unknown-entity"),
    MethodError: (HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed"),
    SlowBodyError: (HTTPStatus.REQUEST_TIMEOUT, "slow-body"),
    NoReasonsError: (HTTPStatus.CONFLICT, "no-reasons"),
    BodyTooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large"),
    UnscorableError: (HTTPStatus.UNPROCESSABLE_ENTITY, "unscorable"),
    InstanceError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-instances"),
    TooManyRequestsError: (HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests"),
    JournalFullError: (HTTPStatus.SERVICE_UNAVAILABLE, "journal-full"),
    JournalError: (HTTPStatus.SERVICE_UNAVAILABLE, "journal-unavailable"),
    OnlineStoreError: (HTTPStatus.SERVICE_UNAVAILABLE, "features-unavailable"),
    TooSlowError: (HTTPStatus.GATEWAY_TIMEOUT, "too-slow"),
}
_TITLES = {
    "malformed-body": "The body is not a request for predictions",
    "unauthenticated": "An API key is needed",
    "forbidden": "The API key may not do this",
    "unknown-use-case": "There is no such use case",
    "not-served": "It is not served here",
    "unknown-entity": "There are no features of an entity",
    "method-not-allowed": "The path does not know this method",
    "slow-body": "The body did not arrive in time",
    "no-reasons": "The version gives no reasons",
    "body-too-large": "The body is too large",
    "unscorable": "An instance has no score",
    "invalid-instances": "Fields do not fit the model",
    "too-many-requests": "Too many requests",
    "journal-full": "The journal is full",
    "journal-unavailable": "Predictions cannot be recorded",
    "features-unavailable": "Features cannot be looked up",
    "too-slow": "The prediction took too long",
    "invalid-request": "The request is not valid",
    "internal-error": "Internal error",
}
_log = logging.getLogger(__name__)
_Headers = tuple[tuple[bytes, bytes], ...]
_LISTING = (InstanceError, ListedError)

# Errors of the predict route, for the documentation.
PREDICT_RESPONSES: dict[str, dict[str, object]] = {
    str(status.value): {
        "description": _TITLES[slug],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
    }
    for status, slug in _STATUS.values()
    # one for each status
    if slug not in ("unscorable", "unknown-use-case", "not-served", "method-not-allowed", "features-unavailable")
}


ADMIN_RESPONSES: dict[int | str, dict[str, object]] = {
    int(status): response for status, response in PREDICT_RESPONSES.items() if status in ("401", "403", "429")
}


class ProblemDetails(NamedTuple):
    """An error response (RFC 9457).

    Attributes:
        slug: kind of problem, as in its `type`.
    """

    status: int
    body: bytes
    headers: _Headers
    slug: str


def problem_of(error: Exception, request_id: str = "") -> ProblemDetails:
    """HTTP response of an error; an unforeseen one is logged, and its words are not sent."""
    for kind, (status, slug) in _STATUS.items():
        if isinstance(error, kind):
            headers = _headers(error, status)
            return _problem(status, slug, _detail(error), _reports(error), headers=headers, request_id=request_id)
    _log.error("request %s failed", request_id or "without an id", exc_info=error, extra={"request_id": request_id})
    detail = "Something went wrong that is not your fault; the server's log has it."
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", detail, request_id=request_id)


def install(app: FastAPI) -> None:
    """Let the app answer every error as a problem report."""
    app.add_exception_handler(NoriaError, _answer)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(Exception, _answer_surprise)


async def _answer(_request: Request, error: Exception) -> Response:
    return _response(problem_of(error))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = f"{request.method} {request.url.path[:200]}: {status.phrase}. The routes are listed at /docs."
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    given = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
    return _response(_problem(status, status.phrase.lower().replace(" ", "-"), detail, headers=given))


async def _answer_validation_error(_request: Request, error: Exception) -> Response:
    return _response(_problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", str(error)[:500]))


async def _answer_surprise(request: Request, _error: Exception) -> Response:
    """Answer an unforeseen error; Starlette logs it, and no middleware adds headers to the response."""
    detail = "Something went wrong that is not your fault; the server's log has it."
    headers = data_headers(request.app.state.tls)
    return _response(_problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", detail, headers=headers))


def _response(problem: ProblemDetails) -> Response:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in problem.headers}
    return Response(problem.body, problem.status, headers)


def _headers(error: Exception, status: HTTPStatus) -> _Headers:
    if isinstance(error, UnauthenticatedError):
        return ((b"www-authenticate", b'Bearer realm="noria"'),)
    if isinstance(error, MethodError):
        return ((b"allow", error.allowed.encode()),)
    if isinstance(error, TooManyRequestsError):
        return (*error.headers, (b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    return ((b"retry-after", str(_LATER).encode()),) if status is HTTPStatus.SERVICE_UNAVAILABLE else ()


def _detail(error: Exception) -> str:
    if not isinstance(error, _LISTING):
        return str(error)
    count = len(error.problems)
    several = "s" if count > 1 else ""
    shown = f"; the first {_SHOWN} are listed" if count > _SHOWN else ""
    if isinstance(error, UnscorableError):
        return f"{count} instance{several} without a score{shown}. Nothing was predicted."
    if isinstance(error, UnknownEntityError):
        return f"{count} {'entities' if several else 'entity'} without features{shown}. Nothing was predicted."
    return f"{count} field{several} wrong{shown}. GET the use case to see what it expects."


def _reports(error: Exception) -> tuple[FieldReport, ...]:
    problems = error.problems[:_SHOWN] if isinstance(error, _LISTING) else ()
    return tuple(
        FieldReport(
            where=problem.where,
            found=problem.found,
            expected=problem.expected,
            suggestion=problem.suggestion if isinstance(problem, FieldProblem) else "",
        )
        for problem in problems
    )


def _problem(
    status: HTTPStatus,
    slug: str,
    detail: str,
    errors: tuple[FieldReport, ...] = (),
    *,
    headers: _Headers = (),
    request_id: str = "",
) -> ProblemDetails:
    report = ProblemReport(
        type=f"urn:noria:problem:{slug}",
        title=_TITLES.get(slug, status.phrase),
        status=status,
        detail=detail,
        errors=errors,
        instance=f"urn:noria:request:{request_id}" if request_id else "",
    )
    content = report.model_dump(exclude={name for name in ("errors", "instance") if not getattr(report, name)})
    body = (json.dumps(content, indent=1) + "\n").encode()
    return ProblemDetails(status.value, body, ((b"content-type", MEDIA_TYPE.encode()), *headers), slug)
