"""Verdict of monitoring about an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from noria.core.base.formatting import percent, plain_name
from noria.core.metrics.direction import LOWER_IS_BETTER
from noria.core.use_case import DriftPolicy
from noria.core.use_case.metric_catalog import definition, figure


class Verdict(StrEnum):
    """One word per interval."""

    STABLE = "stable"
    DRIFT = "drift"
    QUALITY_LOSS = "quality_loss"
    TOO_FEW_ROWS = "too_few_rows"

    @property
    def words(self) -> str:
        """The verdict for people."""
        return plain_name(self.value)

    @property
    def is_alarm(self) -> bool:
        """Whether it speaks for training again."""
        return self in (Verdict.DRIFT, Verdict.QUALITY_LOSS)


@dataclass(frozen=True)
class QualityComparison:
    """The headline metric of some rows, beside the one that the model's own evaluation had.

    Attributes:
        metric: its name, the headline of the task.
        found: on labelled rows; None where they cannot give it (no labels, or one class only).
        promised: at the model's own evaluation; None for version 0, which has none.
    """

    metric: str
    found: float | None
    promised: float | None

    @property
    def loss(self) -> float | None:
        """How much worse it is than at evaluation, below 0 where it is better; None where either is not known.

        For a score the drop itself (0.05 is from 0.75 to 0.70), for an error its rise as a share of that at evaluation (0.25
        is from 20 % to 25 %).
        """
        if self.found is None or self.promised is None:
            return None
        if self.metric not in LOWER_IS_BETTER:
            return self.promised - self.found
        if self.promised:
            return self.found / self.promised - 1
        return math.inf if self.found else 0.0

    def is_lost(self, policy: DriftPolicy) -> bool:
        """Whether it is so much worse than at evaluation that it counts as a loss of quality."""
        limit = policy.error_rise if self.metric in LOWER_IS_BETTER else policy.metric_drop
        return self.loss is not None and self.loss >= limit

    @property
    def name(self) -> str:
        """The metric for people."""
        return definition(self.metric).title

    def shown(self, value: float) -> str:
        """A value of the metric for people: `0.712`, or a share as `7.1 %`."""
        return figure(self.metric, value)


@dataclass(frozen=True)
class MonitoringFindings:
    """Facts that a verdict is made from.

    Attributes:
        rows: predictions of the interval.
        labelled: those whose label has arrived.
        features, drifted: features compared with the reference, and those beyond the effect size; 0 without a reference.
        quality: the headline metric of the labelled rows, now and at evaluation.
    """

    rows: int
    labelled: int
    features: int
    drifted: int
    quality: QualityComparison


_ROUNDING = 1e-9
"""0.07 * 100 is a little more than 7."""


@dataclass(frozen=True)
class VerdictDecision:
    """A verdict and the sentence that carries it."""

    verdict: Verdict
    reason: str


def decide_verdict(found: MonitoringFindings, policy: DriftPolicy) -> VerdictDecision:
    """Conclude: too few rows, else loss of quality, else drift, else stable. The graver finding wins."""
    if found.rows < policy.min_rows:
        return VerdictDecision(Verdict.TOO_FEW_ROWS, f"{found.rows:,} predictions; {policy.min_rows:,} needed for a verdict")
    if lost := _quality_lost(found, policy):
        return VerdictDecision(Verdict.QUALITY_LOSS, lost)
    if found.features == 0:
        return VerdictDecision(
            Verdict.STABLE, "the baseline serves: it has no reference set, so only its decisions are judged"
        )
    share = f"{found.drifted} of {found.features} features moved by {policy.effect_size:g} or more"
    if found.drifted + _ROUNDING >= policy.share_of_features * found.features:
        return VerdictDecision(Verdict.DRIFT, share)
    return VerdictDecision(Verdict.STABLE, f"{share}; drift starts at {percent(policy.share_of_features)} of them")


def _quality_lost(found: MonitoringFindings, policy: DriftPolicy) -> str:
    """The sentence about a loss of quality; empty where there is none, or too few labels to tell."""
    quality = found.quality
    if quality.found is None or quality.promised is None or found.labelled < policy.min_rows or not quality.is_lost(policy):
        return ""
    now, before = quality.shown(quality.found), quality.shown(quality.promised)
    return f"{quality.name} {now} on {found.labelled:,} labels; {before} when it was evaluated"
