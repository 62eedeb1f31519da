"""What monitoring concludes about an interval."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from noria.core.drift import percent
from noria.core.use_case import DriftPolicy


class Verdict(StrEnum):
    """One word per interval."""

    STABLE = "stable"
    DRIFT = "drift"
    QUALITY_LOSS = "quality_loss"
    TOO_FEW_ROWS = "too_few_rows"

    @property
    def words(self) -> str:
        """The verdict for people."""
        return self.value.replace("_", " ")

    @property
    def is_alarm(self) -> bool:
        """Whether it speaks for training again."""
        return self in (Verdict.DRIFT, Verdict.QUALITY_LOSS)


@dataclass(frozen=True)
class Findings:
    """What a verdict is made from.

    Attributes:
        rows: predictions of the interval.
        labelled: those whose label has arrived.
        features, drifted: features compared with the reference, and those beyond the effect size; 0 without a reference.
        roc_auc: on the labelled rows; None where it cannot be taken (no labels, or one class only).
        promised_roc_auc: of the model's own evaluation; None for version 0, which has none.
    """

    rows: int
    labelled: int
    features: int
    drifted: int
    roc_auc: float | None
    promised_roc_auc: float | None


@dataclass(frozen=True)
class Judgement:
    """A verdict and the sentence that carries it."""

    verdict: Verdict
    reason: str


def judge(found: Findings, policy: DriftPolicy) -> Judgement:
    """Conclude: too few rows, else loss of quality, else drift, else stable. The graver finding wins."""
    if found.rows < policy.min_rows:
        return Judgement(Verdict.TOO_FEW_ROWS, f"{found.rows:,} predictions; {policy.min_rows:,} needed for a verdict")
    if lost := _quality_lost(found, policy):
        return Judgement(Verdict.QUALITY_LOSS, lost)
    if found.features == 0:
        return Judgement(Verdict.STABLE, "the rule serves: it has no reference set, so only its decisions are judged")
    share = f"{found.drifted} of {found.features} features moved by {policy.effect_size:g} or more"
    if found.drifted >= policy.share_of_features * found.features:
        return Judgement(Verdict.DRIFT, share)
    return Judgement(Verdict.STABLE, f"{share}; drift starts at {percent(policy.share_of_features)} of them")


def _quality_lost(found: Findings, policy: DriftPolicy) -> str:
    """The sentence about a loss of quality; empty where there is none, or too few labels to tell."""
    if found.roc_auc is None or found.promised_roc_auc is None or found.labelled < policy.min_rows:
        return ""
    if found.promised_roc_auc - found.roc_auc < policy.metric_drop:
        return ""
    return f"ROC AUC {found.roc_auc:.3f} on {found.labelled:,} labels; {found.promised_roc_auc:.3f} when it was evaluated"
