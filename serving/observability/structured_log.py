"""The log of serving: lines for people or for a collector, each with its request's id, none with personal values.

What callers sent never reaches the log: a refusal is logged by kind, status and names of fields; a failure by its type and
where in the code it came from. Keys, and passwords in URLs, are removed from messages of libraries.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from time import monotonic
from typing import Literal, TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; empty outside one. Set by the fast path."""
_worker = ""
_SECRETS = re.compile(r"(noria_[\w-]{12}_)[\w-]{32,}|(?<=://)([^:/@\s]+:)[^@\s]+(?=@)")
_OF_REQUESTS = frozenset({"uvicorn.error", "serving.http.error_handlers", "serving.predict.service"})
"""Loggers that tell of errors in requests, also from threads that do not know which."""
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_WINDOW_SECONDS = 10.0
_LINES = 10
"""Of one kind of refusal within the window; the rest are counted."""


def configure(kind: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Let everything that is logged in this process be written in that format, to standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if kind == "json" else _Text(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every poll


def speak_as(worker: int) -> None:
    """Put a worker's number into every line of this process."""
    global _worker  # noqa: PLW0603 - one process, one number, set once after the fork
    _worker = str(worker)


def blotted(text: str) -> str:
    """A text without API keys and without passwords in URLs."""
    return _SECRETS.sub(lambda found: f"{found[1] or found[2]}***", text)


class _Text(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        record.message, record.asctime = record.getMessage(), self.formatTime(record)
        fields = " ".join(f"{name}={value}" for name, value in _context(record).items())
        line = f"{self.formatMessage(record)} [{fields}]" if fields else self.formatMessage(record)
        return blotted("\n".join(part for part in (line, _exception(record)) if part))


class _Json(logging.Formatter):
    """For a collector: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
        }
        if exception := _exception(record):
            content["exception"] = exception
        return blotted(json.dumps(content, ensure_ascii=False, default=str))


def _context(record: logging.LogRecord) -> dict[str, str]:
    """Fields of a line beside its message, empty things left out."""
    fields = {"worker": _worker, "request_id": _request_of(record)}
    return {name: value for name, value in fields.items() if value}


def _request_of(record: logging.LogRecord) -> str:
    return str(getattr(record, "request_id", "")) or request_id.get()


def _exception(record: logging.LogRecord) -> str:
    """The error that a line comes with, and what caused it: types, and lines of code.

    Its words only where no request is being answered: they quote values, and a caller's are not for the log.
    """
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    if record.name not in _OF_REQUESTS and not _request_of(record):
        return "".join(traceback.format_exception(record.exc_info[1])).rstrip()
    lines: list[str] = []
    for error in _chain(record.exc_info[1]):
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__))
        lines += [f"{type(error).__module__}.{type(error).__qualname__}, at\n", *frames]
    return "".join(lines).rstrip()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, then what caused it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


class RefusalLog:
    """Tells of requests that were not answered: the first few of a kind, then how many more there were."""

    def __init__(self) -> None:
        self._log = logging.getLogger("serving.refused")
        self._lock = threading.Lock()
        self._since: dict[tuple[int, str], float] = {}
        self._logged: dict[tuple[int, str], int] = {}

    def tell(self, status: int, slug: str, use_case: str, fields: Sequence[str] = (), request_id: str = "") -> None:
        """Write at most one line.

        Args:
            status: the HTTP status.
            slug: the kind of problem, as in the answer's `type`.
            use_case: a declared one; empty where there is none.
            fields: names of what was wrong, such as `instances[0].distance`; never what stood there.
            request_id: of the request.
        """
        skipped = self._skipped((status, slug))
        if skipped is None:
            return
        about = f" of {use_case}" if use_case else ""
        which = f": {', '.join(fields[:5])}{' and more' if len(fields) > 5 else ''}" if fields else ""
        more = f" ({skipped} more of this kind were not logged)" if skipped else ""
        level = logging.ERROR if status >= 500 else logging.WARNING
        self._log.log(level, "%d %s%s%s%s", status, slug, about, which, more, extra={"request_id": request_id})

    def _skipped(self, kind: tuple[int, str]) -> int | None:
        """Number of lines of a kind that were suppressed before this one; None if this one is suppressed too."""
        with self._lock:
            now, logged = monotonic(), self._logged.get(kind, 0)
            if now - self._since.get(kind, -_WINDOW_SECONDS) >= _WINDOW_SECONDS:
                self._since[kind], self._logged[kind] = now, 1
                return max(0, logged - _LINES)
            self._logged[kind] = logged + 1
            return 0 if logged < _LINES else None
