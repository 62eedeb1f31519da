"""The two tags of a registered model that a rollout lives in: its document, and what serving's guard says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.rollout import GUARD_TAG, ROLLOUT_TAG, GuardReport, Rollout

_Document = TypeVar("_Document", Rollout, GuardReport)


def read_rollout(client: Any, use_case: str) -> Rollout | None:
    """The rollout that is under way, or the last one."""
    return _read(client, use_case, ROLLOUT_TAG, Rollout)


def read_guard_report(client: Any, use_case: str) -> GuardReport | None:
    """Last report of serving."""
    return _read(client, use_case, GUARD_TAG, GuardReport)


def write_rollout(client: Any, rollout: Rollout) -> None:
    """Replace the document: one request, so it is whole or not there."""
    client.set_registered_model_tag(rollout.use_case, ROLLOUT_TAG, rollout.model_dump_json())


def _read(client: Any, use_case: str, name: str, kind: type[_Document]) -> _Document | None:
    tags: Mapping[str, str] = client.get_registered_model(use_case).tags
    if name not in tags:
        return None
    try:
        return kind.model_validate_json(tags[name])
    except ValidationError as error:
        raise RegistryError(
            f"{use_case}: its tag {name} cannot be read ({error.error_count()} errors); remove the tag in MLflow"
        ) from error
