"""Pseudonyms: the same value gives the same text under one key, and cannot be read back without it.

Raw data is pseudonymised on the way in, so models learn from pseudonyms; serving makes the same ones of what apps send.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from noria.core.base.errors import SettingsError
from noria.core.use_case import Privacy, UseCase

LENGTH = 32
"""Hexadecimal characters kept: 128 bits, so that two values never meet in practice."""


def pseudonym(value: str, key: str) -> str:
    """Pseudonym of one value: HMAC-SHA-256 (RFC 2104), its first 32 hexadecimal characters.

    Example:
        >>> pseudonym("ana@example.com", key="a long random text")
        'd69faa34193e0ca614a2bf552bf43cb4'
    """
    # half a surrogate pair is no UTF-8, and JSON can smuggle one in: it has a pseudonym like any other text
    return hmac.digest(key.encode(), value.encode("utf-8", "surrogatepass"), "sha256").hex()[:LENGTH]


def check_key(use_case: UseCase, key: str) -> None:
    """Check that there is a key where one is needed.

    Raises:
        SettingsError: the use case pseudonymises and the key is empty.

    Example:
        >>> private = use_case.model_copy(update={"privacy": {"depot": Privacy.PSEUDONYMISE}})
        >>> check_key(private, "a long random text")
        >>> check_key(private, "")
        Traceback (most recent call last):
            ...
        noria.core.base.errors.SettingsError: NORIA_PSEUDONYM_KEY is not set, and parcels pseudonymises depot: ...
    """
    names = [name for name, treatment in use_case.privacy.items() if treatment is Privacy.PSEUDONYMISE]
    if names and not key:
        raise SettingsError(
            f"NORIA_PSEUDONYM_KEY is not set, and {use_case.name} pseudonymises {', '.join(names)}: set it to a long random "
            "text and keep it; with another key old and new rows do not join"
        )


def check_privacy(use_case: UseCase) -> Iterator[tuple[str, str, str]]:
    """Columns that privacy removes and that the use case needs elsewhere; field, found and expected of each.

    Example:
        >>> private = use_case.model_copy(update={"privacy": {"weight": Privacy.PSEUDONYMISE}})
        >>> [(where, found) for where, found, _ in check_privacy(private)]
        [('privacy.weight', 'makes a text of weight, which is listed under features.numeric')]
    """
    for name, treatment in use_case.privacy.items():
        where = f"privacy.{name}"
        if treatment is Privacy.DROP:
            yield from _dropped(use_case, where, name)
        elif treatment is Privacy.PSEUDONYMISE:
            yield from _replaced(use_case, where, name)


def _dropped(use_case: UseCase, where: str, name: str) -> Iterator[tuple[str, str, str]]:
    if name in use_case.features.names:
        kind = "numeric" if name in use_case.features.numeric else "categorical"
        found = f"drops {name}, which is a feature: no row will ever have it, neither in training nor over REST"
        yield where, found, f"remove it from features.{kind}, or pseudonymise it (a category then)"
    if name == use_case.entity:
        yield where, "drops the entity, which identifies rows", "pseudonymise it: pseudonyms still join"
    if name in (use_case.event_time, use_case.label.column):
        yield where, "drops the event time or the label", "keep it: nothing can be learnt without"


def _replaced(use_case: UseCase, where: str, name: str) -> Iterator[tuple[str, str, str]]:
    if name in use_case.features.numeric:
        found = f"makes a text of {name}, which is listed under features.numeric"
        yield where, found, "list it under features.categorical, or keep it"
    if name in (use_case.event_time, use_case.label.column):
        yield where, "makes a text of the event time or the label that nobody can read", "keep it"
