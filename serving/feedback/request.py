"""Reads and checks feedback; one response names every wrong field."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from noria.core.use_case import Task, UseCase
from serving.contract.errors import BodyTooLargeError, FieldProblem, MalformedBodyError
from serving.contract.pseudonymiser import Pseudonymiser
from serving.predict.instances import shown

MAX_ITEMS = 1000
_EXPECTED_BODY = '{"feedback": [{"id": "<id of a prediction>", "label": ...}, ...]}'
_FIELDS = ("id", "entity", "event_time", "label", "at")
_CLOCKS_DIFFER = timedelta(minutes=5)
_LONGEST_ENTITY = 1000


class FeedbackItem(NamedTuple):
    """Label of one prediction or one entity, as it was sent.

    Attributes:
        label: `true` or `false`, a class, or the shortest text of a number.
        at: time at which it was known, UTC; None if the app does not say.
    """

    prediction_id: str | None
    entity: str | None
    event_time: datetime | None
    label: str
    at: datetime | None


def read_feedback(
    body: bytes, use_case: UseCase, now: datetime, pseudonymiser: Pseudonymiser | None
) -> tuple[list[FeedbackItem], list[FieldProblem]]:
    """The items of a request, and every problem in them; the items are valid only if there is no problem.

    Raises:
        MalformedBodyError: not JSON, or not of the shape ``{"feedback": [...]}``.
        BodyTooLargeError: more than 1,000 items.
    """
    reader = _Reader(use_case, now, pseudonymiser)
    items = [item for index, content in enumerate(_items(body)) if (item := reader.read(f"feedback[{index}]", content))]
    return items, reader.problems


def _items(body: bytes) -> list[Any]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBodyError(f"the body is not JSON that can be read: {error}; send {_EXPECTED_BODY}") from error
    if not isinstance(content, dict) or content.keys() != {"feedback"}:
        raise MalformedBodyError(f"the body is not an object with the one field feedback; send {_EXPECTED_BODY}")
    items = content["feedback"]
    if not isinstance(items, list) or not items:
        found = "an empty list" if items == [] else shown(items)
        raise MalformedBodyError(
            f"feedback is {found}, expected a list of 1 to {MAX_ITEMS:,} objects; send {_EXPECTED_BODY}"
        )
    if len(items) > MAX_ITEMS:
        raise BodyTooLargeError(
            f"{len(items):,} items of feedback in one request, at most {MAX_ITEMS:,} are taken; send several"
        )
    return items


class _Reader:
    """Reads one item after another, and keeps the problems."""

    def __init__(self, use_case: UseCase, now: datetime, pseudonymiser: Pseudonymiser | None) -> None:
        self.problems: list[FieldProblem] = []
        self._use_case = use_case
        self._latest = now + _CLOCKS_DIFFER
        self._pseudonymiser = pseudonymiser
        self._entity_is_hidden = pseudonymiser is not None and use_case.entity in pseudonymiser.hidden

    def read(self, where: str, item: object) -> FeedbackItem | None:
        """One item; None if it is not an object."""
        if not isinstance(item, dict):
            self._wrong(where, shown(item), "an object with id or entity, and label")
            return None
        self._check_names(where, item)
        return FeedbackItem(
            prediction_id=self._prediction_id(f"{where}.id", item["id"]) if "id" in item else None,
            entity=self._entity(f"{where}.entity", item["entity"]) if "entity" in item else None,
            event_time=self._instant(f"{where}.event_time", item.get("event_time")),
            label=self._label(f"{where}.label", item),
            at=self._at(f"{where}.at", item.get("at")),
        )

    def _check_names(self, where: str, item: Mapping[str, object]) -> None:
        for name in item.keys() - set(_FIELDS):
            close = difflib.get_close_matches(name[:100], _FIELDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"remove it; known: {', '.join(_FIELDS)}"
            self._wrong(f"{where}.{name[:60]}", "a field that feedback does not have", "only the fields of feedback", hint)
        if ("id" in item) == ("entity" in item):
            found = "both id and entity" if "id" in item else "neither id nor entity"
            self._wrong(where, found, "one of them", "send the id that the prediction came with, or your entity")
        elif "event_time" in item and "id" in item:
            self._wrong(f"{where}.event_time", "beside an id", "nothing: the prediction is known by its id", "remove it")

    def _prediction_id(self, where: str, value: object) -> str | None:
        try:
            if isinstance(value, str) and len(value) == 36:
                return str(UUID(value))
        except ValueError:
            pass
        self._wrong(where, shown(value), "the id of a prediction, a UUID", "send the id that the prediction came with")
        return None

    def _entity(self, where: str, value: object) -> str | None:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and 0 < len(text) <= _LONGEST_ENTITY and "\0" not in text:
            safe = self._pseudonymiser.protect_entity(text) if self._pseudonymiser else text
            if safe is None:
                hint = "send the id of the prediction"
                self._wrong(where, "an entity", "none: the privacy of the use case drops it, so no prediction has one", hint)
            return safe
        found = Pseudonymiser.kind_of(value) if self._entity_is_hidden else shown(value)
        self._wrong(
            where, found, f"a string of 1 to {_LONGEST_ENTITY:,} characters or an integer, as you sent it to predict"
        )
        return None

    def _at(self, where: str, value: object) -> datetime | None:
        instant = self._instant(where, value)
        if instant is not None and instant > self._latest:
            self._wrong(where, shown(value), "an instant that is not in the future", "leave it out for now")
        return instant

    def _instant(self, where: str, value: object) -> datetime | None:
        if value is None:
            return None
        try:
            instant = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
            if instant is not None and instant.tzinfo is not None:
                return instant.astimezone(UTC)
        except (ValueError, OverflowError):
            instant = None
        hint = "add its time zone, such as Z" if instant else ""
        self._wrong(where, shown(value), "an instant with its time zone, such as 2026-01-31T12:00:00Z", hint)
        return None

    def _label(self, where: str, item: Mapping[str, object]) -> str:
        value, label = item.get("label"), self._use_case.label
        match self._use_case.task:
            case Task.BINARY_CLASSIFICATION:
                if isinstance(value, bool):
                    return "true" if value else "false"
                expected, hint = f"true where {label.column} came true, else false", self._as_boolean(value)
            case Task.MULTICLASS:
                if isinstance(value, str) and value in label.classes:
                    return value
                expected, hint = f"one of {', '.join(label.classes)}", _closest(value, label.classes)
            case Task.REGRESSION:
                if isinstance(value, int | float) and not isinstance(value, bool) and _is_double(value):
                    return repr(float(value))
                expected, hint = "a finite number", _as_number(value)
        self._wrong(where, shown(value) if "label" in item else "nothing", expected, hint)
        return ""

    def _as_boolean(self, value: object) -> str:
        """Suggestion for a label that is the use case's own word for yes."""
        positive = self._use_case.label.positive
        if isinstance(positive, bool):
            return ""
        return f"send true for {positive!r}" if value == positive else ""

    def _wrong(self, where: str, found: str, expected: str, suggestion: str = "") -> None:
        self.problems.append(FieldProblem(where, found, expected, suggestion))


def _is_double(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _closest(value: object, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(value[:100], known, 1) if isinstance(value, str) else []
    return f"did you mean {close[0]}?" if close else ""


def _as_number(value: object) -> str:
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    return f"send it without quotes: {number:g}" if math.isfinite(number) else ""
