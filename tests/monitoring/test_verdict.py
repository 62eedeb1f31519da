"""The verdict over an interval, as a table."""

from __future__ import annotations

import pytest

from noria.core.use_case import DriftPolicy
from noria.core.verdict import Findings, Verdict, judge

POLICY = DriftPolicy(effect_size=0.1, min_rows=500, share_of_features=0.3, metric_drop=0.05)


@pytest.mark.parametrize(
    ("found", "verdict", "reason"),
    [
        (Findings(499, 499, 10, 10, 0.5, 0.9), Verdict.TOO_FEW_ROWS, "499 predictions; 500 needed for a verdict"),
        (
            Findings(900, 800, 10, 10, 0.70, 0.75),
            Verdict.QUALITY_LOSS,
            "ROC AUC 0.700 on 800 labels; 0.750 when it was evaluated",
        ),
        (Findings(900, 499, 10, 3, 0.5, 0.75), Verdict.DRIFT, "3 of 10 features moved by 0.1 or more"),
        (
            Findings(900, 800, 10, 2, 0.71, 0.75),
            Verdict.STABLE,
            "2 of 10 features moved by 0.1 or more; drift starts at 30 % of them",
        ),
        (
            Findings(900, 800, 0, 0, 0.55, None),
            Verdict.STABLE,
            "the rule serves: it has no reference set, so only its decisions are judged",
        ),
        (Findings(900, 0, 10, 4, None, 0.75), Verdict.DRIFT, "4 of 10 features moved by 0.1 or more"),
    ],
)
def test_judge(found: Findings, verdict: Verdict, reason: str) -> None:
    judgement = judge(found, POLICY)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


def test_only_drift_and_loss_of_quality_are_alarms() -> None:
    assert {verdict for verdict in Verdict if verdict.is_alarm} == {Verdict.DRIFT, Verdict.QUALITY_LOSS}
