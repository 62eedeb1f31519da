"""How decisions did on the labels that have arrived: beside the baseline on the same rows and the model's evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitoring.assessment.rows import Columns, Flags, ScoredRows
from noria.core.base.interval import Interval
from noria.core.lifecycle.drift_report import LedgerEntry, Performance
from noria.core.metrics.measure import measure_predictions
from noria.core.model.decision import Decisions, Scores, policy_of
from noria.core.model.value import running_cost, total_value
from noria.core.use_case import UseCase
from noria.inference.predictor import baseline_predictor, score_for_comparison


@dataclass(frozen=True)
class RuleAnswers:
    """Answers of the baseline for the same rows; shapes as in `ScoredRows`."""

    scores: Scores
    decisions: Decisions

    def take(self, rows: npt.NDArray[np.intp] | Flags) -> RuleAnswers:
        """Some of the answers."""
        return RuleAnswers(self.scores[rows], self.decisions[rows])


def ask_rule(use_case: UseCase, columns: Columns) -> RuleAnswers:
    """Answers of the baseline."""
    rule = baseline_predictor(use_case)
    scores = score_for_comparison(rule, columns)
    return RuleAnswers(scores, rule.manifest.policy.decide(scores))


def measure(use_case: UseCase, rows: ScoredRows, threshold: float) -> dict[str, float]:
    """Every metric of rows that all have a label; `threshold` is where a yes or no was decided."""
    policy, value = policy_of(use_case, threshold), use_case.business.value
    return _rounded(measure_predictions(policy, value, rows.labels, rows.scores, rows.decisions))


def measure_rule(use_case: UseCase, rows: ScoredRows, rule: RuleAnswers) -> dict[str, float]:
    """Every metric of the baseline on rows that all have a label."""
    value = use_case.business.value
    return _rounded(measure_predictions(policy_of(use_case), value, rows.labels, rule.scores, rule.decisions))


def measure_performance(
    use_case: UseCase, rows: ScoredRows, rule: RuleAnswers, *, threshold: float, promised: Mapping[str, float]
) -> Performance:
    """Metrics of the model and of the baseline on the labelled rows.

    Args:
        use_case: has the money per outcome.
        rows: the interval's rows.
        rule: what the baseline says of them.
        threshold: where the version decides yes.
        promised: metrics of the version's own evaluation; empty for version 0.
    """
    labelled = rows.take(rows.known)
    return Performance(
        labelled=len(labelled),
        positives=int(labelled.labels.sum()) if use_case.task.is_binary else 0,
        metrics=measure(use_case, labelled, threshold),
        promised=_rounded(promised),
        baseline=measure_rule(use_case, labelled, rule.take(rows.known)),
    )


def account(use_case: UseCase, interval: Interval, rows: ScoredRows, rule: RuleAnswers, training_runs: int) -> LedgerEntry:
    """The interval's line of the ledger. Value is counted on labelled rows alone: money is not guessed."""
    business, known = use_case.business, rows.known
    labels, classes = rows.labels[known], use_case.label.classes
    return LedgerEntry(
        currency=business.currency,
        decisions=len(rows),
        labelled=int(known.sum()),
        value=round(total_value(business.value, labels, rows.decisions[known], classes), 2),
        baseline_value=round(total_value(business.value, labels, rule.decisions[known], classes), 2),
        cost=round(running_cost(business.costs, interval, len(rows), training_runs), 2),
    )


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in metrics.items()}
