"""Turns errors into HTTP: the only file that knows status codes. No stack trace leaves; it goes to the log."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from noria.core.errors import InstanceError, NoriaError
from serving.errors import (
    BodyTooLargeError,
    FieldProblem,
    JournalError,
    MalformedBodyError,
    UnknownUseCaseError,
    UnscorableError,
)
from serving.schemas import FieldReport, ProblemReport

MEDIA_TYPE = "application/problem+json"
UNREADY = HTTPStatus.SERVICE_UNAVAILABLE.value
_SHOWN = 100
_STATUS: dict[type[NoriaError], tuple[HTTPStatus, str]] = {
    MalformedBodyError: (HTTPStatus.BAD_REQUEST, "malformed-body"),
    BodyTooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large"),
    UnknownUseCaseError: (HTTPStatus.NOT_FOUND, "unknown-use-case"),
    UnscorableError: (HTTPStatus.UNPROCESSABLE_ENTITY, "unscorable"),
    InstanceError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-instances"),
    JournalError: (HTTPStatus.SERVICE_UNAVAILABLE, "journal-unavailable"),
}
_TITLES = {
    "malformed-body": "The body is not a request for predictions",
    "body-too-large": "The body is too large",
    "unknown-use-case": "There is no such use case",
    "unscorable": "An instance has no score",
    "invalid-instances": "Fields do not fit the model",
    "journal-unavailable": "Predictions cannot be recorded",
}

# What the predict route may answer, for the documentation.
PREDICT_RESPONSES: dict[int | str, dict[str, object]] = {
    status.value: {
        "description": _TITLES[slug],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
    }
    for status, slug in _STATUS.values()
    if slug not in ("unscorable", "unknown-use-case")  # 422 is told once; a documented route is not unknown
}


def install(app: FastAPI) -> None:
    """Let the app answer every error as a problem report."""
    app.add_exception_handler(NoriaError, _answer_noria_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(Exception, _answer_surprise)


async def _answer_noria_error(_request: Request, error: Exception) -> Response:
    for kind, (status, slug) in _STATUS.items():
        if isinstance(error, kind):
            return _problem(status, slug, _TITLES[slug], _detail(error), _reports(error))
    return await _answer_surprise(_request, error)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = f"{request.method} {request.url.path[:200]}: {status.phrase}. The routes are listed at /docs."
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return _problem(status, status.phrase.lower().replace(" ", "-"), status.phrase, detail, headers=headers)


async def _answer_validation_error(_request: Request, error: Exception) -> Response:
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid", str(error)[:500])


async def _answer_surprise(_request: Request, _error: Exception) -> Response:
    detail = "Something went wrong that is not your fault; the server's log has it."
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Internal error", detail)


def _detail(error: Exception) -> str:
    if not isinstance(error, InstanceError | UnscorableError):
        return str(error)
    count = len(error.problems)
    several = "s" if count > 1 else ""
    shown = f"; the first {_SHOWN} are listed" if count > _SHOWN else ""
    if isinstance(error, UnscorableError):
        return f"{count} instance{several} without a score{shown}. Nothing was predicted."
    return f"{count} field{several} wrong{shown}. GET the use case to see what it expects."


def _reports(error: Exception) -> tuple[FieldReport, ...]:
    problems = error.problems[:_SHOWN] if isinstance(error, InstanceError | UnscorableError) else ()
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
    title: str,
    detail: str,
    errors: tuple[FieldReport, ...] = (),
    *,
    headers: dict[str, str] | None = None,
) -> Response:
    report = ProblemReport(type=f"urn:noria:problem:{slug}", title=title, status=status, detail=detail, errors=errors)
    content = report.model_dump(exclude={"errors"} if not errors else None)
    return Response(json.dumps(content, indent=1) + "\n", status, headers, MEDIA_TYPE)
