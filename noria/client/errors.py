"""Errors between an app and Noria.

NoriaClientError
├── RefusedError            the answer is no; says why, and names every wrong field
├── NoAnswerError           no answer came, however often it was tried
└── UnexpectedAnswerError   an answer that is not Noria's
"""

from __future__ import annotations

from collections.abc import Sequence

from noria.client.models import FieldError

_SHOWN = 5


class NoriaClientError(Exception):
    """Base of all errors of this package.

    Attributes:
        request_id: what the request was called; the server's log and its table of predictions have the same.

    Example:
        >>> try:
        ...     noria.about("letters")
        ... except NoriaClientError as error:
        ...     print(type(error).__name__, len(error.request_id))
        RefusedError 32
    """

    def __init__(self, message: str, request_id: str = "") -> None:
        self.request_id = request_id
        super().__init__(message)


class RefusedError(NoriaClientError):
    """Noria, or a proxy before it, will not answer this request as it is.

    Attributes:
        status: the HTTP status: 401 no key, 403 not with this key, 404 unknown, 413 too large, 422 wrong fields, 429 too
            many requests, 5xx not at the moment.
        kind: which problem, stable, such as ``invalid-instances``; empty where it was not Noria that refused.
        title: the same in words.
        detail: what is wrong this time, and what to do.
        errors: every field that is wrong, at most a hundred.
        retry_after: seconds after which to try again; None if trying again does not help, or the time is not known.

    Example:
        >>> try:
        ...     noria.predict("parcels", [{"hour": 19, "wieght": 3}])
        ... except RefusedError as error:
        ...     print(error.status, error.kind, error.errors[0].where, error.errors[0].suggestion, sep=", ")
        422, invalid-instances, instances[0].wieght, did you mean weight?
    """

    def __init__(
        self,
        status: int,
        *,
        kind: str,
        title: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        shown = [f"\n  {error}" for error in self.errors[:_SHOWN]]
        more = [f"\n  and {len(self.errors) - _SHOWN} more"] if len(self.errors) > _SHOWN else []
        super().__init__("".join([f"{status} {title}: {detail}", *shown, *more]), request_id)


class NoAnswerError(NoriaClientError):
    """No answer came: the address is wrong, the server is down, or it took longer than the timeout.

    Example:
        >>> from noria.client import NoriaClient
        >>> with NoriaClient("http://127.0.0.1:9", retries=0) as client:
        ...     client.about("parcels")
        Traceback (most recent call last):
            ...
        noria.client.errors.NoAnswerError: http://127.0.0.1:9 does not answer ...; check the address and the server
    """


class UnexpectedAnswerError(NoriaClientError):
    """An answer that is not Noria's; the address may be that of something else.

    Example:
        >>> import httpx
        >>> from noria.client import NoriaClient
        >>> shop = httpx.MockTransport(lambda request: httpx.Response(200, text="Welcome to our shop"))
        >>> with NoriaClient("http://shop.example.com", transport=shop) as other:
        ...     other.about("parcels")
        Traceback (most recent call last):
            ...
        noria.client.errors.UnexpectedAnswerError: ... answers 200 and not as Noria; check the address
    """
