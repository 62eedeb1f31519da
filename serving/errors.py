"""What serving refuses to do. How each looks over HTTP is decided in `serving.error_handlers`.

NoriaError
├── InstanceError              (core) an instance that does not fit the signature; lists every field
└── RequestError
    ├── MalformedBodyError     not JSON, or not {"instances": [...]}
    ├── BodyTooLargeError      more bytes or instances than one request may carry
    ├── UnknownUseCaseError    a use case that nobody declared
    └── UnscorableError        an instance that fits the signature and still has no score; lists every instance
└── JournalError               the prediction cannot be recorded, so it is not given
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from noria.core.errors import NoriaError, Problem


@dataclass(frozen=True)
class FieldProblem(Problem):
    """A problem of one field of a request.

    Attributes:
        suggestion: what to send instead, where that is clear; else empty.
    """

    suggestion: str = ""


class RequestError(NoriaError):
    """A request that cannot be answered as it is."""


class MalformedBodyError(RequestError):
    """A body that is not what the route reads."""


class BodyTooLargeError(RequestError):
    """More than one request may carry."""


class UnscorableError(RequestError):
    """Instances that fit the signature and still have no score: too large for the model, or too little for the rule."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownUseCaseError(RequestError):
    """A use case that nobody declared."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        close = difflib.get_close_matches(name, self.known, 1)
        hint = f"did you mean {close[0]}? Known" if close else "known"
        super().__init__(f"no use case {name[:60]!r}; {hint}: {', '.join(self.known) or 'none'}")


class JournalError(NoriaError):
    """The journal of predictions cannot be written."""
