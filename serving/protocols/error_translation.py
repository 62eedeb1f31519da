"""Errors in the format of another protocol; status and headers stay those of `serving.http.error_handlers`."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.http.error_handlers import problem_of

_SHOWN = 5
_NOT_SENT = {"content-length", "content-type"}
ErrorBody = Callable[[str, int], dict[str, str]]
"""Makes the body of an error from a message of one line and the HTTP status."""


def route_class(body_of: ErrorBody) -> type[APIRoute]:
    """A class of routes whose errors have such bodies."""

    class Translated(APIRoute):
        """A route with translated errors."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                try:
                    return await handle(request)
                except HTTPException:
                    raise
                except Exception as error:  # problem_of logs an unforeseen one
                    return _translate(body_of, error, getattr(request.state, "response_headers", {}))

            return answer

    return Translated


def _translate(body_of: ErrorBody, error: Exception, sent: Mapping[str, str]) -> Response:
    problem = problem_of(error, sent.get("x-request-id", ""))
    content = json.dumps(body_of(_message(json.loads(problem.body)), problem.status))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in problem.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in _NOT_SENT}
    return Response(content, problem.status, {**sent, **kept}, "application/json")


def _message(report: dict[str, Any]) -> str:
    """A problem report in one line, with the first few wrong fields."""
    errors = report.get("errors", ())
    fields = [_field(error) for error in errors[:_SHOWN]]
    more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
    return " ".join([report["detail"], "; ".join([*fields, *more])]).strip()


def _field(error: dict[str, str]) -> str:
    text = f"{error['where']}: {error['found']}, expected {error['expected']}"
    return f"{text} ({error['suggestion']})" if error.get("suggestion") else text
