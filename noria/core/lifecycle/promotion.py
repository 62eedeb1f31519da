"""A request to promote a version: what is asked, who asks, and who approved it."""

from __future__ import annotations

from dataclasses import dataclass

from noria.core.base.results import VersionRef


@dataclass(frozen=True)
class PromotionRequest:
    """A request to make a version champion, at once or in the steps of a rollout.

    Attributes:
        candidate: the version, as training handed it on.
        actor: who asks: a person, or a run of Airflow.
        approved_by: who approved it; empty where no approval was asked for.
        reason: why; the candidate's summary where it is empty.
        allow_retired: whether a version that was champion before, or was rolled back, may return. Only a person sets it.
        allow_breaking: whether the version may refuse requests that apps send now. Only a person sets it.

    Example:
        >>> version = VersionRef(version="3", bundle_digest="", run_id="", passed=True, summary="roc_auc 0.71", champion="2")
        >>> PromotionRequest(version, actor="ana").why
        'roc_auc 0.71'
    """

    candidate: VersionRef
    actor: str
    approved_by: str = ""
    reason: str = ""
    allow_retired: bool = False
    allow_breaking: bool = False

    @property
    def why(self) -> str:
        """Reason for the audit trail."""
        return self.reason or self.candidate.summary
