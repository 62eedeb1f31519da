"""Tasks between training and serving: stop at a failed gate, name the challenger, make the champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from noria.core.base.results import VersionRef
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.use_case import Approval
from noria_airflow.approval import ApprovalResponse, evidence_page, mail_question, requested_by
from noria_airflow.runs import current_as_of

if TYPE_CHECKING:
    from noria.core.base.results import PromotionResult
    from noria_airflow.runs import TaskContext


def set_challenger(run: TaskContext, candidate: VersionRef) -> str:
    """Make a version whose gates passed challenger, and mail the owner where a person must approve it.

    Returns:
        what that person must know, in Markdown.

    Raises:
        AirflowSkipException: a gate failed.
    """
    from noria.jobs import release

    if not candidate.passed:
        raise AirflowSkipException(f"version {candidate.version} is not promoted: {candidate.summary}")
    release.set_challenger(run.services, run.use_case, candidate, actor=requested_by(run))
    if run.use_case.approval is Approval.MANUAL:
        mail_question(run, candidate.version, candidate.summary)
    return f"{candidate.summary}\n\n[Model card and evaluation]({evidence_page(run, candidate.version)})"


def promote(run: TaskContext, candidate: VersionRef, approval: Mapping[str, Any] | None) -> PromotionResult:
    """Make a version champion.

    Args:
        run: context of the task.
        candidate: the version, as training handed it on.
        approval: a person's response as Airflow hands it on; None where no approval was asked for.

    Raises:
        AirflowSkipException: it may not become champion.
        AirflowFailException: the approval does not count; a retry with the same response would not change that.
    """
    from noria.core.base.errors import ApprovalError
    from noria.jobs import release

    try:
        result = release.promote(run.services, run.use_case, request_of(run, candidate, approval))
    except ApprovalError as error:
        raise AirflowFailException(f"{error}. Clear the task `approve` to be asked again") from error
    if not result.promoted:
        raise AirflowSkipException(f"version {result.version} is not promoted: {result.reason}")
    return result


def request_of(run: TaskContext, candidate: VersionRef, approval: Mapping[str, Any] | None) -> PromotionRequest:
    """The request that a run makes, with the reasons of its start, of the candidate and of the approval."""
    response = ApprovalResponse.of(approval)
    reasons = (current_as_of(run).reason, candidate.summary, response.reason)
    return PromotionRequest(
        candidate, actor=requested_by(run), approved_by=response.who, reason="; ".join(filter(None, reasons))
    )
