"""Requests and answers of the client, the same for the synchronous and the asynchronous one."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from noria.client.errors import NoAnswerError, RefusedError, UnexpectedAnswerError
from noria.client.models import About, Feedback, FieldError, Json, Prediction, Predictions, Received, about_of, prediction_of
from noria.client.retry import retry_after

BATCH = 1000
"""What a request may carry unless the use case says otherwise (`serving.max_batch`)."""
SECONDS = 10.0
"""How long a try may take."""
LOST = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
"""The connection could not be made or broke. A read that timed out is not here: the caller chose how long to wait."""
TOO_LARGE = 413
_LOGGED = "logged"
"""What an answer's header says of it, beside its content."""
_PROBLEM = "urn:noria:problem:"
_INDEX = re.compile(r"^(\w+)\[(\d+)\]")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Call:
    """One request. It keeps its id when it is sent again, so that the server's log shows that it was one.

    Attributes:
        items: what it carries; empty where it carries nothing.
        start: place of the first of them in what the app sent.
    """

    method: str
    path: str
    request_id: str
    field: str = ""
    items: Sequence[Any] = ()
    start: int = 0
    reasons: int = 0

    @property
    def url(self) -> str:
        """Below the server's own."""
        return f"{self.path}?reasons={self.reasons}" if self.reasons else self.path

    @property
    def content(self) -> bytes | None:
        """The body, JSON."""
        return encode({self.field: list(self.items)}) if self.field else None

    @property
    def headers(self) -> dict[str, str]:
        """Beside those of every request."""
        return {"X-Request-Id": self.request_id} | ({"Content-Type": "application/json"} if self.field else {})

    def halves(self) -> tuple[Call, Call]:
        """The same in two requests, each with an id of its own."""
        middle = len(self.items) // 2
        first = replace(self, items=self.items[:middle], request_id=_new_id())
        second = replace(self, items=self.items[middle:], start=self.start + middle, request_id=_new_id())
        return first, second


def settings_of(key: str | None, timeout: float, url: str) -> dict[str, Any]:
    """Arguments of a client of httpx; redirects are not followed, so the key goes nowhere else.

    Raises:
        ValueError: the address is not of http or https.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address; send one like http://127.0.0.1:8000")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": {"Accept": "application/json", **headers}, "timeout": timeout}


def batches(path: str, field: str, items: Iterable[Any], size: int, reasons: int = 0) -> Iterator[Call]:
    """Requests that carry all items.

    Raises:
        ValueError: there are none.
    """
    rows = [_plain(item) for item in items]
    if not rows:
        raise ValueError(f"{field} is empty; send at least one")
    for start in range(0, len(rows), size):
        yield Call("POST", path, _new_id(), field, rows[start : start + size], start, reasons)


def get(path: str) -> Call:
    """A request for a page."""
    return Call("GET", path, _new_id())


def path_of(use_case: str, what: str = "") -> str:
    """Of a use case."""
    return "/".join(part for part in ("/v1", quote(use_case, safe=""), what) if part)


def encode(content: object) -> bytes:
    """JSON. A NaN must have become a null before."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False, default=_encoded).encode()


def answer_of(call: Call, response: httpx.Response) -> Json:
    """The answer.

    Raises:
        RefusedError: the server refuses, or a proxy before it.
        UnexpectedAnswerError: it is not Noria's.
    """
    try:
        content = response.json()
    except ValueError:
        content = None
    if response.is_success and isinstance(content, dict):
        return {**content, _LOGGED: "x-noria-unlogged" not in response.headers}
    if response.is_error:
        raise _refusal(call, response, content if isinstance(content, dict) else {})
    where = f"{response.request.method} {response.request.url}"
    raise UnexpectedAnswerError(
        f"{where} answers {response.status_code} and not as Noria; check the address", call.request_id
    )


def no_answer(url: httpx.URL, call: Call, tried: int, error: Exception) -> NoAnswerError:
    """The error after the last try."""
    reason = str(error) or type(error).__name__
    often = "once" if tried == 1 else f"{tried} times"
    return NoAnswerError(
        f"{url} does not answer ({reason}; tried {often}); check the address and the server", call.request_id
    )


def predictions_of(use_case: str, answers: Sequence[tuple[Call, Json]]) -> Predictions:
    """All answers as one.

    Raises:
        UnexpectedAnswerError: one of them is none, or says too much or too little.
    """
    items = [prediction for call, content in answers for prediction in _predictions(call, content)]
    version = str(answers[-1][1].get("version", items[-1].version))
    logged = all(content.get(_LOGGED, True) for _, content in answers)
    return Predictions(use_case, version, tuple(items), tuple(call.request_id for call, _ in answers), logged)


def received_of(use_case: str, answers: Sequence[tuple[Call, Json]]) -> Received:
    """All answers as one.

    Raises:
        UnexpectedAnswerError: one of them is none.
    """
    ids = [
        identity
        for call, content in answers
        for identity in _read(call, content, lambda found: [str(item["id"]) for item in found["feedback"]])
    ]
    return Received(use_case, tuple(ids), tuple(call.request_id for call, _ in answers))


def description_of(call: Call, content: Json) -> About:
    """Raises UnexpectedAnswerError where it is no description of a use case."""
    return _read(call, content, about_of)


def _predictions(call: Call, content: Json) -> list[Prediction]:
    found = _read(call, content, lambda content: [prediction_of(item) for item in content["predictions"]])
    if len(found) != len(call.items):
        message = f"{len(call.items)} answers were asked for and {len(found)} came; check the address"
        raise UnexpectedAnswerError(message, call.request_id)
    return found


def _read(call: Call, content: Json, reader: Callable[[Json], _Found]) -> _Found:
    try:
        return reader(content)
    except (KeyError, TypeError, AttributeError) as error:
        message = (
            f"the answer of {call.path} is not as expected ({type(error).__name__}: {error}); check the versions of both"
        )
        raise UnexpectedAnswerError(message, call.request_id) from error


def _refusal(call: Call, response: httpx.Response, report: Json) -> RefusedError:
    kind = str(report.get("type", ""))
    errors = report.get("errors") or ()
    return RefusedError(
        response.status_code,
        kind=kind.removeprefix(_PROBLEM) if kind.startswith(_PROBLEM) else "",
        title=str(report.get("title", response.reason_phrase)),
        detail=str(report.get("detail", "sent by something between the app and Noria")),
        errors=[_field_error(call, error) for error in errors if isinstance(error, dict)],
        retry_after=retry_after(response.headers),
        request_id=response.headers.get("x-request-id", call.request_id),
    )


def _field_error(call: Call, error: Json) -> FieldError:
    """With the place in what the app sent, which may have been sent in parts."""

    def moved(match: re.Match[str]) -> str:
        return f"{match[1]}[{int(match[2]) + call.start}]"

    where = _INDEX.sub(moved, str(error.get("where", "")))
    texts = [str(error.get(name, "")) for name in ("found", "expected", "suggestion")]
    return FieldError(where, *texts)


def _plain(item: Any) -> Any:
    """A row without NaN, which data frames have for a missing value and JSON has not."""
    if isinstance(item, Feedback):
        return {name: value for name, value in asdict(item).items() if value is not None}
    if isinstance(item, Mapping):
        return {name: None if isinstance(value, float) and value != value else value for name, value in item.items()}  # noqa: PLR0124
    return item


def _encoded(value: Any) -> Any:
    """A moment as RFC 3339; a scalar of numpy as what it holds, without asking for numpy."""
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no value of JSON: {value!r:.80}")


def _new_id() -> str:
    return uuid.uuid4().hex
