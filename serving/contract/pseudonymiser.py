"""Replaces personal values in requests before models, journal or log see them.

`noria.data.ingest.privacy` replaces them in raw data, with the same key, so that a model gets the pseudonyms that it was
trained on. A value is never taken for a pseudonym because it looks like one: the hash of an address or a UUID looks the same
and is personal. A caller that sends a pseudonym on purpose, such as one read from the warehouse or from the log, marks it:
``pseudonym:`` and its 32 hexadecimal characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from noria.core.use_case import Privacy, UseCase
from noria.core.use_case.pseudonym import LENGTH, check_key, pseudonym
from serving.contract.errors import FieldProblem

MARK = "pseudonym:"
_MARKED = re.compile(rf"{MARK}([0-9a-f]{{{LENGTH}}})")
_REMEMBERED = 65_536
"""Values whose pseudonym is remembered, per use case: a few megabytes."""
_NOT_SHOWN = "(not shown: it is personal)"
_HARMLESS = frozenset({"nothing", "null", "true", "false"})
_KINDS = {'"': "a text", "[": "a list", "{": "an object", "a": "an integer"}
"""By the first character of a value as errors show it: JSON, or `an integer of 400 bits`."""


class Pseudonymiser:
    """The privacy settings of one use case, applied to requests.

    Attributes:
        hidden: fields whose values are never shown; an error shows `kind_of` them instead.
    """

    def __init__(self, privacy: Mapping[str, Privacy], entity: str, key: str) -> None:
        """Prepare the replacements.

        Args:
            privacy: setting of each field that requests may have.
            entity: name of the entity field.
            key: key of pseudonyms.
        """
        self._replaced = tuple(name for name, how in privacy.items() if how is Privacy.PSEUDONYMISE)
        self._dropped = tuple(name for name, how in privacy.items() if how is Privacy.DROP)
        self._entity = privacy.get(entity, Privacy.KEEP)
        self._pseudonym = _remembering(key)
        self.hidden = frozenset((*self._replaced, *self._dropped))

    @classmethod
    def of(cls, use_case: UseCase, key: str) -> Pseudonymiser | None:
        """The pseudonymiser of a use case; None if no field of a request is personal.

        Raises:
            SettingsError: a field is pseudonymised and the key is empty.
        """
        sent = {*use_case.features.names, use_case.entity}
        privacy = {name: how for name, how in use_case.privacy.items() if name in sent and how is not Privacy.KEEP}
        if not privacy:
            return None
        if Privacy.PSEUDONYMISE in privacy.values():
            check_key(use_case, key)
        return cls(privacy, use_case.entity, key)

    def protect(self, row: dict[str, Any]) -> dict[str, Any]:
        """A copy of a row with personal values replaced or left out, also the entity's if the row has it.

        Texts and integers become pseudonyms; the integer 9 has that of the text "9", as in raw data. Null stays null. Other
        values stay too: no text feature may have them, and the check that refuses them does not show them.
        """
        safe = dict(row)
        for name in self._replaced:
            value = safe.get(name)
            if isinstance(value, str):
                safe[name] = self._pseudonym(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                safe[name] = self._pseudonym(_digits(value))
        for name in self._dropped:
            safe.pop(name, None)
        return safe

    def protect_entity(self, entity: str | None) -> str | None:
        """The entity in a form that may be recorded: itself, its pseudonym, or None."""
        if entity is None or self._entity is Privacy.DROP:
            return None
        return self._pseudonym(entity) if self._entity is Privacy.PSEUDONYMISE else entity

    def hush(self, problems: Iterable[FieldProblem]) -> list[FieldProblem]:
        """Problems of a request without the personal values in them.

        A problem of a whole row, or of an entity outside a row, may have any value, and is hushed too.
        """
        return [self._hushed(problem) for problem in problems]

    def _hushed(self, problem: FieldProblem) -> FieldProblem:
        *_, name = problem.where.partition(".")
        if (name and name not in self.hidden) or problem.found in _HARMLESS:
            return problem
        kind = _KINDS.get(problem.found[:1], "a number")
        return replace(problem, found=f"{kind} {_NOT_SHOWN}", suggestion="")

    @staticmethod
    def kind_of(value: object) -> str:
        """Kind of a value, for an error that may not show the value."""
        kinds = ((bool, "true or false"), (str, "a text"), (int | float, "a number"), (list, "a list"), (dict, "an object"))
        kind = next((word for type_, word in kinds if isinstance(value, type_)), "null")
        return f"{kind} {_NOT_SHOWN}"


def _digits(number: int) -> str:
    # Python writes no decimal text of thousands of digits, and no column holds such a number
    return str(number) if number.bit_length() < 10_000 else hex(number)


def _remembering(key: str) -> Callable[[str], str]:
    @lru_cache(maxsize=_REMEMBERED)
    def of(value: str) -> str:
        marked = _MARKED.fullmatch(value)
        return marked[1] if marked else pseudonym(value, key)

    return of
