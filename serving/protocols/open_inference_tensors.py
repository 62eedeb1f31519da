"""Encoding of the Open Inference Protocol's tensors: JSON, and the binary tensor data extension.

A body of the extension is a JSON object and then the bytes of the tensors that have a `binary_data_size`, in their order;
the header `Inference-Header-Content-Length` says where the JSON ends. Numbers are little endian; an element of BYTES is its
length in four bytes, and then itself.
https://github.com/kserve/open-inference-protocol and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from serving.contract.errors import MalformedBodyError

HEADER_LENGTH = "Inference-Header-Content-Length"
TEXT = "BYTES"
YES_NO = "BOOL"
NUMBER = "FP64"
_LENGTH = struct.Struct("<I")
_TYPES = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    YES_NO: "|b1",
}
WHOLE_NUMBERS = tuple(name for name in _TYPES if "INT" in name)
NUMBERS = (*(name for name in _TYPES if name.startswith("FP")), *WHOLE_NUMBERS)


@dataclass(frozen=True)
class Tensor:
    """A named column of values, one for each row; as floats, integers, texts, or None where JSON has null.

    Attributes:
        datatype: the protocol's word for it, such as FP64 or BYTES.
    """

    name: str
    datatype: str
    values: Sequence[Any]


@dataclass(frozen=True)
class RequestedOutput:
    """An output that the request wants; `binary` is None if the request does not say."""

    name: str
    binary: bool | None = None


@dataclass(frozen=True)
class Inference:
    """A request to infer.

    Attributes:
        id: the caller's identifier of the request; empty if there is none.
        outputs: wanted outputs; empty for all.
        binary: whether outputs are sent as bytes if they do not say.
    """

    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    binary: bool = False


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] | None = None


def read_inference(body: bytes, header_length: str | None) -> Inference:
    """Decode a request.

    Args:
        body: unpacked.
        header_length: the header `Inference-Header-Content-Length`; None if all is JSON.

    Raises:
        MalformedBodyError: it is not a valid request; says where.
    """
    header, rest = _split(body, header_length)
    request = _parse(header)
    sections = _Sections(rest)
    inputs = tuple(_tensor(f"inputs[{index}]", item, sections) for index, item in enumerate(request.inputs))
    sections.finish()
    return Inference(
        id=_name(request.id or ""),
        inputs=inputs,
        outputs=tuple(_wanted(item) for item in request.outputs or ()),
        binary=_flag(request.parameters, "binary_data_output") or False,
    )


def write_outputs(about: Mapping[str, str], tensors: Sequence[Tensor], binary: Sequence[bool]) -> tuple[bytes, int | None]:
    """Encode a response: its body, and the length of its JSON; None if it is all JSON.

    Args:
        about: fields beside the outputs.
        tensors: outputs.
        binary: whether to send bytes, for each output.
    """
    parts: list[bytes] = []
    outputs: list[dict[str, Any]] = []
    for tensor, as_bytes in zip(tensors, binary, strict=True):
        output = {"name": tensor.name, "datatype": tensor.datatype, "shape": [len(tensor.values)]}
        if as_bytes:
            parts.append(_encoded(tensor))
            outputs.append({**output, "parameters": {"binary_data_size": len(parts[-1])}})
        else:
            outputs.append({**output, "data": tensor.values})
    header = msgspec.json.encode({**about, "outputs": outputs})
    return b"".join([header, *parts]), len(header) if parts else None


class _Sections:
    """The bytes after the JSON, read from the front."""

    def __init__(self, rest: bytes) -> None:
        self._rest = rest
        self._taken = 0

    def take(self, where: str, size: object) -> bytes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise MalformedBodyError(f"{where}.parameters.binary_data_size is {size!r}, expected a number of bytes")
        if size > len(self._rest) - self._taken:
            left = len(self._rest) - self._taken
            raise MalformedBodyError(
                f"{where}: {size:,} bytes are announced and {left:,} are left in the body; send {HEADER_LENGTH} with the "
                "length of the JSON, and after it the bytes of every input in their order"
            )
        self._taken += size
        return self._rest[self._taken - size : self._taken]

    def finish(self) -> None:
        if left := len(self._rest) - self._taken:
            raise MalformedBodyError(f"{left:,} bytes of the body belong to no input; give each its binary_data_size")


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isdecimal() or not 0 < int(header_length[:20]) <= len(body):
        raise MalformedBodyError(
            f"{HEADER_LENGTH} is {header_length[:40]!r}, expected the length of the JSON that the body of {len(body):,} "
            "bytes begins with"
        )
    length = int(header_length)
    return body[:length], body[length:]


def _parse(header: bytes) -> _Request:
    try:
        # unlike msgspec, it reads NaN, which clients write for a missing number
        return msgspec.convert(json.loads(header), _Request)
    except msgspec.ValidationError as error:
        where = str(error).replace("$.", "").replace("`$`", "the body")
        raise MalformedBodyError(f"not a request of the Open Inference Protocol: {where}") from error
    except RecursionError:
        raise MalformedBodyError("the body is nested too deeply; send inputs with flat data") from None
    except ValueError as error:  # not JSON, not UTF-8, or a number of too many digits
        raise MalformedBodyError(f"the body does not begin with JSON: {error}") from error


def _name(identifier: str) -> str:
    """The caller's identifier, which is sent back; half a surrogate pair, which JSON allows, is refused."""
    if not identifier.isascii() and any("\ud800" <= char <= "\udfff" for char in identifier):
        raise MalformedBodyError(f"id is {ascii(identifier)[:60]}, expected Unicode text")
    return identifier


def _tensor(where: str, item: _Input, sections: _Sections) -> Tensor:
    if item.datatype != TEXT and item.datatype not in _TYPES:
        known = ", ".join((TEXT, *_TYPES))
        raise MalformedBodyError(f"{where}.datatype is {item.datatype[:40]!r}; known: {known}")
    rows = _rows(where, item.shape)
    parameters = item.parameters or {}
    if "shared_memory_region" in parameters:
        raise MalformedBodyError(f"{where}: shared memory is not offered; send the data in the body")
    size = parameters.get("binary_data_size")
    if size is not None:
        values = _decoded(where, item.datatype, sections.take(where, size))
    elif item.data is not None:
        values = list(_flat(item.data))
    else:
        raise MalformedBodyError(f"{where} has neither data nor the parameter binary_data_size")
    if len(values) != rows:
        raise MalformedBodyError(f"{where} has {len(values):,} values, its shape {item.shape} asks for {rows:,}")
    return Tensor(item.name, item.datatype, values)


def _rows(where: str, shape: Sequence[int]) -> int:
    if len(shape) not in (1, 2) or shape[0] < 1 or shape[1:] not in ([], [1]):
        raise MalformedBodyError(
            f"{where}.shape is {str(list(shape))[:60]}, expected [n] or [n, 1] for n rows; each field is an input"
        )
    return shape[0]


def _flat(data: Sequence[Any]) -> Iterator[Any]:
    """Values of data that is flat, or one list for each row."""
    return chain.from_iterable(item if isinstance(item, list) else (item,) for item in data)


def _decoded(where: str, datatype: str, content: bytes) -> list[Any]:
    if datatype == TEXT:
        return list(_texts(where, content))
    kind = np.dtype(_TYPES[datatype])
    if len(content) % kind.itemsize:
        raise MalformedBodyError(f"{where}: {len(content):,} bytes are no whole number of {datatype}")
    values: list[Any] = np.frombuffer(content, kind).tolist()
    return values


def _texts(where: str, content: bytes) -> Iterator[str]:
    place = 0
    while place < len(content):
        start = place + _LENGTH.size
        length = _LENGTH.unpack_from(content, place)[0] if start <= len(content) else 0
        place = start + length
        if place > len(content):
            raise MalformedBodyError(f"{where}: its bytes end in the middle of an element")
        try:
            yield content[start:place].decode()
        except UnicodeDecodeError as error:
            raise MalformedBodyError(f"{where}: an element is not UTF-8 ({error.reason})") from error


def _wanted(item: _Output) -> RequestedOutput:
    parameters = item.parameters or {}
    for name, instead in (("classification", "ask for score, decision or the probabilities"), ("shared_memory_region", "")):
        if parameters.get(name):
            raise MalformedBodyError(f"output {item.name[:60]!r}: {name} is not offered{instead and '; '}{instead}")
    return RequestedOutput(item.name, _flag(parameters, "binary_data"))


def _flag(parameters: Mapping[str, Any] | None, name: str) -> bool | None:
    value = (parameters or {}).get(name)
    if value is not None and not isinstance(value, bool):
        raise MalformedBodyError(f"the parameter {name} is {str(value)[:40]!r}, expected true or false")
    return value


def _encoded(tensor: Tensor) -> bytes:
    if tensor.datatype != TEXT:
        return np.asarray(tensor.values, dtype=_TYPES[tensor.datatype]).tobytes()
    texts = [text.encode() for text in tensor.values]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
