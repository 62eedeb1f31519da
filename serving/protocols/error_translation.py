"""Errors in the words of another protocol: the status and the headers stay what `serving.http.error_handlers` made them."""

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
_UNSAID = {"content-length", "content-type"}
Words = Callable[[str, int], dict[str, str]]
"""Makes the body of an error from what is wrong, in one line, and the HTTP status."""


def route_class(words: Words) -> type[APIRoute]:
    """A class of routes whose errors are told in these words."""

    class Translated(APIRoute):
        """See above."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                try:
                    return await handle(request)
                except HTTPException:
                    raise
                except Exception as error:  # logged by problem_of where it is nobody's fault but ours
                    return _translate(words, error, getattr(request.state, "told", {}))

            return answer

    return Translated


def _translate(words: Words, error: Exception, told: Mapping[str, str]) -> Response:
    problem = problem_of(error, told.get("x-request-id", ""))
    content = json.dumps(words(_told(json.loads(problem.body)), problem.status))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in problem.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in _UNSAID}
    return Response(content, problem.status, {**told, **kept}, "application/json")


def _told(report: dict[str, Any]) -> str:
    """A problem report in one line, with the first few fields that are wrong."""
    errors = report.get("errors", ())
    fields = [_field(error) for error in errors[:_SHOWN]]
    more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
    return " ".join([report["detail"], "; ".join([*fields, *more])]).strip()


def _field(error: dict[str, str]) -> str:
    told = f"{error['where']}: {error['found']}, expected {error['expected']}"
    return f"{told} ({error['suggestion']})" if error.get("suggestion") else told
