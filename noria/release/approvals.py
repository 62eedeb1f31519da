"""Approval of a promotion by a second person, where the use case asks for it (four eyes)."""

from __future__ import annotations

from noria.core.base.errors import ApprovalError
from noria.core.lifecycle.audit_event import Action, AuditEntry, approval
from noria.core.use_case import Approval, UseCase
from noria.ports.audit_trail import AuditTrail

_CHANNEL = " (command line)"
ANONYMOUS = "anonymous"
"""What Airflow calls everybody where it lets everybody in."""


def approval_violation(use_case: UseCase, *, requested_by: str, approved_by: str) -> str | None:
    """Why an approval does not count; None where it does.

    Args:
        use_case: says whether a person must approve.
        requested_by: who wants the promotion: the person who triggered the run or gave the command, or the run itself.
        approved_by: who approved it; empty if no approval was asked for. A person named here must be another one, approval
            asked for or not.
    """
    if not approved_by:
        if use_case.approval is Approval.AUTOMATIC:
            return None
        return (
            "approval: manual asks for a second person's yes: answer in Airflow under Required Actions, or name who agreed "
            "with --approved-by"
        )
    if _person(requested_by) != _person(approved_by):
        return None
    if _person(approved_by) == ANONYMOUS:
        return (
            "the person who asked and the one who approved are both anonymous, and may be the same: give people "
            "accounts of their own in Airflow, or let the schedule start the run"
        )
    return f"{approved_by} both asked for it and approved it: somebody else must approve, or ask"


def require_approval(audit: AuditTrail, use_case: UseCase, asked: AuditEntry) -> None:
    """Refuse what another person must approve and did not; the trail says who tried.

    Args:
        audit: gets the refusal.
        use_case: says whether a person must approve.
        asked: what would be written down if it were approved.

    Raises:
        ApprovalError: the use case asks for another person's approval, or the approver is the one who asks.
    """
    why = approval_violation(use_case, requested_by=asked.actor, approved_by=asked.approved_by)
    if why is not None:
        evidence = {"objection": why} | approval(asked.approved_by)
        audit.append(asked.model_copy(update={"action": Action.REFUSED, "evidence": evidence}))
        raise ApprovalError(f"{use_case.name} version {asked.version}: {why}")


def _person(name: str) -> str:
    return name.removesuffix(_CHANNEL).strip().casefold()
