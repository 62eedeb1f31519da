"""What the tasks between training and serving do: stop at a broken promise, name the challenger, make the champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from noria.core.use_case import Approval
from noria_airflow.approval import ApprovalResponse, asked_by, evidence_page, tell_owner
from noria_airflow.runs import current_as_of

if TYPE_CHECKING:
    from noria.core.base.results import PromotionResult
    from noria_airflow.runs import TaskContext


def set_challenger(step: TaskContext, candidate: Mapping[str, Any]) -> str:
    """Make a candidate that kept its promises challenger, and tell the owner where a person must approve it.

    Returns:
        what that person must know, in Markdown.

    Raises:
        AirflowSkipException: it broke a promise.
    """
    from noria.core.base.results import VersionRef
    from noria.jobs import release

    registered = VersionRef.model_validate(candidate)
    if not registered.passed:
        raise AirflowSkipException(f"version {registered.version} is not promoted: {registered.summary}")
    release.set_challenger(step.services, step.use_case, registered, actor=asked_by(step))
    if step.use_case.approval is Approval.MANUAL:
        tell_owner(step, registered.version, registered.summary)
    return f"{registered.summary}\n\n[Model card and evaluation]({evidence_page(step, registered.version)})"


def promote(step: TaskContext, candidate: Mapping[str, Any], approval: Mapping[str, Any] | None) -> PromotionResult:
    """Make a candidate champion.

    Args:
        step: the task's surroundings.
        candidate: what training handed on.
        approval: what the person answered; None where nobody was asked.

    Raises:
        AirflowSkipException: it may not become champion.
        AirflowFailException: the approval does not count; another try with the same answer would not change that.
    """
    from noria.core.base.errors import ApprovalError
    from noria.core.base.results import VersionRef
    from noria.jobs import release

    registered, answer = VersionRef.model_validate(candidate), ApprovalResponse.of(approval)
    reason = "; ".join(part for part in (current_as_of(step).reason, registered.summary, answer.reason) if part)
    who, approved_by = asked_by(step), answer.who
    try:
        result = release.promote(step.services, step.use_case, registered, actor=who, approved_by=approved_by, reason=reason)
    except ApprovalError as error:
        raise AirflowFailException(f"{error}. Clear the task `approve` to be asked again") from error
    if not result.promoted:
        raise AirflowSkipException(f"version {result.version} is not promoted: {result.reason}")
    return result
