"""The three aliases of a registered model, and the order in which they are written.

Every write is one request, and a process may be killed between any two of them. So the champion alias is the only truth, and
each other fact is written where being left half-way does least harm:

    1. tag ``retired`` of the outgoing champion     left alone: it is still champion, which counts for more
    2. alias ``previous`` to the outgoing champion  left alone: it names the champion itself, which readers take for none
    3. alias ``champion``                           the move
    4. alias ``challenger`` off the new champion    left undone: it names the champion itself, which readers take for none

The same call again completes what is left. The other order of 2 and 3 would not do: once the champion has moved, no one
remembers which one it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.registry import AliasState
from noria.core.model.bundle import BASELINE_VERSION

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"


def read_alias_state(client: Any, use_case: str) -> AliasState:
    """The version in each role."""
    aliases: Mapping[str, str] = client.get_registered_model(use_case).aliases
    champion = str(aliases.get(CHAMPION, BASELINE_VERSION))

    def other(alias: str) -> str:
        held = str(aliases.get(alias, BASELINE_VERSION))
        return BASELINE_VERSION if held == champion else held

    return AliasState(champion=champion, challenger=other(CHALLENGER), previous=other(PREVIOUS))


def move_champion(client: Any, use_case: str, version: str) -> None:
    """Make a version champion ("0": the baseline)."""
    outgoing = read_alias_state(client, use_case).champion
    if outgoing != version:
        _require(client, use_case, version)  # before anything is written about the outgoing one
        if outgoing != BASELINE_VERSION:
            client.set_model_version_tag(use_case, outgoing, "retired", "true")
        _point(client, use_case, PREVIOUS, outgoing)
        _point(client, use_case, CHAMPION, version)
    aliases: Mapping[str, str] = client.get_registered_model(use_case).aliases
    if str(aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(use_case, CHALLENGER)


def move_challenger(client: Any, use_case: str, version: str) -> None:
    """Make a version challenger ("0": none).

    Raises:
        RegistryError: it is champion already.
    """
    if version != BASELINE_VERSION and version == read_alias_state(client, use_case).champion:
        raise RegistryError(f"version {version} of {use_case} is champion already; choose another one as challenger")
    _require(client, use_case, version)
    _point(client, use_case, CHALLENGER, version)


def _require(client: Any, use_case: str, version: str) -> None:
    """Fail unless the version is there."""
    if version != BASELINE_VERSION:
        client.get_model_version(use_case, version)


def _point(client: Any, use_case: str, alias: str, version: str) -> None:
    if version == BASELINE_VERSION:
        client.delete_registered_model_alias(use_case, alias)
    else:
        client.set_registered_model_alias(use_case, alias, version)
