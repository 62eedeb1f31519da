"""The verdict over an interval, as a table."""

from __future__ import annotations

import math

import pytest

from noria.core.lifecycle.monitoring_verdict import MonitoringFindings, QualityComparison, Verdict, decide_verdict
from noria.core.use_case import DriftPolicy

POLICY = DriftPolicy(effect_size=0.1, min_rows=500, share_of_features=0.3, metric_drop=0.05, error_rise=0.25)


def auc(found: float | None, promised: float | None) -> QualityComparison:
    return QualityComparison("roc_auc", found, promised)


def error(found: float | None, promised: float | None) -> QualityComparison:
    return QualityComparison("wape", found, promised)


@pytest.mark.parametrize(
    ("found", "verdict", "reason"),
    [
        (
            MonitoringFindings(499, 499, 10, 10, auc(0.5, 0.9)),
            Verdict.TOO_FEW_ROWS,
            "499 predictions; 500 needed for a verdict",
        ),
        (
            MonitoringFindings(900, 800, 10, 10, auc(0.70, 0.75)),
            Verdict.QUALITY_LOSS,
            "ROC AUC 0.700 on 800 labels; 0.750 when it was evaluated",
        ),
        (MonitoringFindings(900, 499, 10, 3, auc(0.5, 0.75)), Verdict.DRIFT, "3 of 10 features moved by 0.1 or more"),
        (
            MonitoringFindings(900, 800, 10, 2, auc(0.71, 0.75)),
            Verdict.STABLE,
            "2 of 10 features moved by 0.1 or more; drift starts at 30 % of them",
        ),
        (
            MonitoringFindings(900, 800, 0, 0, auc(0.55, None)),
            Verdict.STABLE,
            "the baseline serves: it has no reference set, so only its decisions are judged",
        ),
        (MonitoringFindings(900, 0, 10, 4, auc(None, 0.75)), Verdict.DRIFT, "4 of 10 features moved by 0.1 or more"),
        (
            MonitoringFindings(1_900, 1_800, 10, 0, error(0.26, 0.2)),
            Verdict.QUALITY_LOSS,
            "Weighted percentage error 26.0 % on 1,800 labels; 20.0 % when it was evaluated",
        ),
        (
            MonitoringFindings(
                900, 800, 10, 0, error(0.24, 0.2)
            ),  # in itself less than a drop of 0.05, and less than a quarter more
            Verdict.STABLE,
            "0 of 10 features moved by 0.1 or more; drift starts at 30 % of them",
        ),
        (
            MonitoringFindings(900, 800, 10, 0, error(0.02, 0.01)),  # twice the error is a loss, however small the error was
            Verdict.QUALITY_LOSS,
            "Weighted percentage error 2.0 % on 800 labels; 1.0 % when it was evaluated",
        ),
        (MonitoringFindings(900, 800, 10, 3, error(0.1, 0.2)), Verdict.DRIFT, "3 of 10 features moved by 0.1 or more"),
    ],
)
def test_judge(found: MonitoringFindings, verdict: Verdict, reason: str) -> None:
    judgement = decide_verdict(found, POLICY)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("quality", "loss"),
    [
        (auc(0.7, 0.75), 0.05),
        (auc(0.8, 0.75), -0.05),
        (error(0.3, 0.2), 0.5),
        (error(0.1, 0.2), -0.5),
        (error(0.1, 0.0), math.inf),
        (error(0.0, 0.0), 0.0),
    ],
)
def test_a_loss_is_a_drop_of_a_score_or_a_relative_rise_of_an_error(quality: QualityComparison, loss: float) -> None:
    assert quality.loss == pytest.approx(loss)


def test_what_is_not_known_is_no_loss() -> None:
    unknown = [auc(None, 0.7), auc(0.7, None), error(None, None)]
    assert [(quality.loss, quality.is_lost(POLICY)) for quality in unknown] == [(None, False)] * 3


def test_only_drift_and_loss_of_quality_are_alarms() -> None:
    assert {verdict for verdict in Verdict if verdict.is_alarm} == {Verdict.DRIFT, Verdict.QUALITY_LOSS}
