"""Reads the body of a request into the types of one version: the fast way, for valid requests.

The types are made once from the version's signature, and msgspec decodes and checks a body in one pass. It stops at the
first mistake; `serving.predict.instances` then reads the body again and names all mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from noria.core.model.encoder_columns import LARGEST
from noria.core.model.signature import Field, Kind


class Instance(NamedTuple):
    """One row to predict.

    Attributes:
        entity: the caller's identifier; logged with the prediction, not read by the model.
        features: values that the model reads, by name; None if missing.
    """

    entity: str | None
    features: dict[str, Any]


class PredictBody(NamedTuple):
    """Content of a body: instances, or entities whose features are to be looked up; one of the two is empty."""

    instances: list[Instance]
    entities: list[str]


class RequestSchema:
    """Schema of a body for one version."""

    def __init__(self, fields: Iterable[Field], entity: str, most: int) -> None:
        """Make the decoder.

        Args:
            fields: fields that an instance may have.
            entity: name of the optional entity field.
            most: instances, or entities, of one request.
        """
        self._entity = entity
        row = msgspec.defstruct(
            "Instance",
            [(entity, str | int | None, None), *(_member(field) for field in fields)],
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        size = msgspec.Meta(min_length=1, max_length=most)
        body = msgspec.defstruct(
            "Body",
            [
                ("instances", Annotated[list[row], size] | msgspec.UnsetType, msgspec.UNSET),  # type: ignore[valid-type]
                ("entities", Annotated[list[str | int], size] | msgspec.UnsetType, msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._rows: Any = list[row]  # type: ignore[valid-type]
        self._decode = msgspec.json.Decoder(body).decode

    def read(self, body: bytes) -> PredictBody | None:
        """Content of a body; None if something is wrong, or might be."""
        if b"\\u0000" in body:  # PostgreSQL does not store NUL
            return None
        try:
            content: Any = self._decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if (content.instances is msgspec.UNSET) == (content.entities is msgspec.UNSET):
            return None
        if content.entities is not msgspec.UNSET:
            return PredictBody([], [str(name) for name in content.entities])
        return PredictBody([self._split(msgspec.structs.asdict(row)) for row in content.instances], [])

    def accept(self, rows: Sequence[object]) -> list[Instance] | None:
        """Rows that another protocol has read, as instances; None if something is wrong, or might be."""
        try:
            converted = msgspec.convert(rows, self._rows)
        except (msgspec.ValidationError, RecursionError):
            return None
        instances = [self._split(msgspec.structs.asdict(row)) for row in converted]
        texts = (value for one in instances for value in (one.entity, *one.features.values()) if isinstance(value, str))
        return instances if all(text.isascii() and "\0" not in text for text in texts) else None

    def _split(self, row: dict[str, Any]) -> Instance:
        name = row.pop(self._entity)
        return Instance(None if name is None else str(name), row)


def _member(field: Field) -> tuple[Any, ...]:
    kind: Any = str if field.kind is Kind.CATEGORICAL else Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
    return (field.name, kind) if field.required else (field.name, kind | None, None)
