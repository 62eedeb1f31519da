"""Reads headers and body of a request, up to the limits."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from starlette.types import Receive

from serving.contract.errors import BodyTooLargeError, MalformedBodyError, SlowBodyError
from serving.contract.prediction_id import uuid7

MAX_BYTES = 4 * 1024 * 1024
"""Largest body, unpacked."""
_BODY_SECONDS = 10.0
"""Longest time to send a body."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")


class RequestHead(NamedTuple):
    """Headers of a request.

    Attributes:
        length: bytes of the body as announced; -1 if they are not.
        packed: whether the body is gzip.
        unpacks: whether the caller takes gzip.
        request_id: the caller's, or a new one.
        authorization: the header of that name, or the API key; None if neither was sent.
        traceparent: trace of the caller; None if there is none.
    """

    length: int
    packed: bool
    unpacks: bool
    request_id: str
    authorization: str | None
    traceparent: str | None


def head_of(headers: Iterable[tuple[bytes, bytes]], now: datetime) -> RequestHead:
    """Read each header once.

    Args:
        headers: names in lower case.
        now: time for a new request id.
    """
    length, packed, unpacks, request_id, authorization, traceparent = -1, False, False, "", None, None
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else -1
        elif name == b"x-request-id":
            request_id = value.decode() if _REQUEST_ID.fullmatch(value) else ""
        elif name == b"authorization" or (name == b"x-api-key" and authorization is None):
            authorization = value.decode("latin-1")
        elif name == b"content-encoding":
            packed = value.lower() == b"gzip"
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"accept-encoding":
            unpacks = b"gzip" in value
    return RequestHead(length, packed, unpacks, request_id or uuid7(now), authorization, traceparent)


async def body_of(receive: Receive, head: RequestHead) -> bytes:
    """The whole body, unpacked.

    Raises:
        BodyTooLargeError: more than `MAX_BYTES`; the rest is not read.
        MalformedBodyError: the header says gzip and the body is not.
        SlowBodyError: it did not arrive in time.
    """
    if head.length > MAX_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            content = await _received(receive)
    except TimeoutError as error:
        raise SlowBodyError(_BODY_SECONDS) from error
    return _unpacked(content) if head.packed else content


async def _received(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return b"".join(chunks)


def _unpacked(content: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(content, MAX_BYTES)  # a few bytes may unpack to gigabytes
    except zlib.error as error:
        raise MalformedBodyError(f"the body is not gzip, as its header says ({error}); send it as it is") from error
    if unpacker.unconsumed_tail:
        raise _too_large()
    if not unpacker.eof:
        raise MalformedBodyError("the body is gzip that ends too early; send it again")
    return unpacked


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(f"the body is larger than {MAX_BYTES // 1024:,} KiB; send fewer instances in a request")
