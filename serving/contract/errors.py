"""Errors of serving. `serving.http.error_handlers` decides the HTTP answer of each.

NoriaError
├── InstanceError              (core) an instance that does not fit, or that the use case refuses; lists every field
├── RequestError
│   ├── MalformedBodyError     not JSON, or not {"instances": [...]}
│   ├── BodyTooLargeError      more bytes or instances than one request may carry
│   ├── SlowBodyError          a body that did not arrive in time
│   ├── MethodError            a method that the path does not allow
│   ├── UnauthenticatedError   no API key, or one that is not valid
│   ├── ForbiddenError         an API key without the right to do this
│   ├── TooManyRequestsError   more requests than the key may send
│   ├── UnknownUseCaseError    a use case that does not exist
│   ├── NotServedError         a version, or a part of a protocol, that is not served here
│   ├── NoReasonsError         reasons wanted from a version that cannot give any
│   └── ListedError            instances that cannot be answered; lists every one
│       ├── UnknownEntityError an entity without features
│       └── UnscorableError    an instance that fits the signature and has no score
├── TooSlowError               a prediction that took longer than the use case allows
├── OnlineStoreError           features cannot be looked up at the moment
└── JournalError               the prediction cannot be recorded, so it is not given
    └── JournalFullError       its folder has reached its limit, or the disk is full
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from noria.core.base.errors import NoriaError, Problem


@dataclass(frozen=True)
class FieldProblem(Problem):
    """A problem of one field of a request.

    Attributes:
        suggestion: what to send instead; empty if that is not clear.
    """

    suggestion: str = ""


class RequestError(NoriaError):
    """A request that cannot be answered as it is."""


class MalformedBodyError(RequestError):
    """A body that the route cannot read."""


class BodyTooLargeError(RequestError):
    """More bytes or instances than one request may carry."""


class SlowBodyError(RequestError):
    """A body that did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body did not arrive within {seconds:g} seconds; send it again, in fewer bytes")


class MethodError(RequestError):
    """A method that the path does not allow."""

    def __init__(self, method: str, path: str, allowed: str) -> None:
        self.allowed = allowed
        super().__init__(f"{method} {path[:200]}: not allowed; send {allowed}")


class UnauthenticatedError(RequestError):
    """No API key, or one that is not valid."""


class ForbiddenError(RequestError):
    """An API key without the right to do this."""


class TooManyRequestsError(RequestError):
    """More requests than the key may send.

    Attributes:
        retry_after: seconds until the next request is answered.
        headers: of the rate limit, sent with the refusal.
    """

    def __init__(self, message: str, retry_after: float, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.retry_after = retry_after
        self.headers = headers
        super().__init__(message)


class ListedError(RequestError):
    """Instances that cannot be answered; lists every one.

    Attributes:
        problems: of each, in order.
    """

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownEntityError(ListedError):
    """Entities that have no features; lists every one."""


class NoReasonsError(RequestError):
    """Reasons wanted from a version that cannot give any."""


class TooSlowError(NoriaError):
    """A prediction that took longer than the use case allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s (serving.timeout of the use case); send fewer instances, or later")


class OnlineStoreError(NoriaError):
    """Features cannot be looked up at the moment."""


class UnscorableError(ListedError):
    """Instances that fit the signature and have no score: numbers too large, or values missing that a baseline needs."""


class UnknownUseCaseError(RequestError):
    """A use case that does not exist."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        close = difflib.get_close_matches(name, self.known, 1)
        hint = f"did you mean {close[0]}? Known" if close else "known"
        super().__init__(f"no use case {name[:60]!r}; {hint}: {', '.join(self.known) or 'none'}")


class NotServedError(RequestError):
    """A version, or a part of a protocol, that is not served here."""


class JournalError(NoriaError):
    """The journal of predictions cannot be written."""


class JournalFullError(JournalError):
    """The journal has reached its limit, or the disk is full: nothing was written."""
