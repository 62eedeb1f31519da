"""Whether apps that send requests to one version would be answered by another: what a change of signature breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from noria.core.model.bundle import Manifest, declared_signature
from noria.core.model.signature import Field
from noria.core.use_case import UseCase


def breaking_changes(serving: Manifest, following: Manifest, use_case: UseCase) -> tuple[str, ...]:
    """Changes by which an app could no longer send what it sends, or would misread answers; empty if there are none.

    Args:
        serving: of the version that answers.
        following: of the version that is to take its place.
        use_case: as it is written now; fields that it declares are accepted whether a version reads them or not.
    """
    return tuple(_changes(serving, following, use_case))


def _changes(serving: Manifest, following: Manifest, use_case: UseCase) -> Iterator[str]:
    declared = {field.name: field for field in declared_signature(use_case).fields}
    before = {field.name: field for field in serving.signature.fields}
    after: Mapping[str, Field] = declared | {field.name: field for field in following.signature.fields}
    for name, field in before.items():
        if name not in after:
            yield f"{name} would be refused as unknown: it is no feature any more"
        elif after[name].kind is not field.kind:
            yield f"{name} is {field.kind} and would have to be {after[name].kind}"
    for name, field in after.items():
        if field.required and not (name in before and before[name].required):
            yield f"{name} would have to be sent: it is required, and was not"
    if serving.task is not following.task:
        yield f"answers would be of another task: {following.task} instead of {serving.task}"
    elif gone := [name for name in serving.classes if name not in following.classes]:
        yield f"the decision can no longer be {', '.join(gone)}"
    elif new := [name for name in following.classes if name not in serving.classes]:
        yield f"the decision can also be {', '.join(new)}, which apps do not know"
