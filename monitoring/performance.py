"""How decisions did on the labels that have arrived: against the rule on the same rows, and against what was promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monitoring.assessment import Money, Performance
from monitoring.rows import Flags, ScoredRows
from noria.core.interval import Interval
from noria.core.metrics import measure
from noria.core.rule import Rule
from noria.core.use_case import UseCase
from noria.core.value import running_cost, total_value


def measure_performance(use_case: UseCase, rows: ScoredRows, threshold: float, promised: Mapping[str, float]) -> Performance:
    """Metrics of the model and of the rule on the labelled rows.

    Args:
        use_case: has the rule and the money per outcome.
        rows: the interval's rows.
        threshold: where the version decides yes.
        promised: metrics of the version's own evaluation; empty for version 0.
    """
    known, value = rows.known, use_case.business.value
    labels = rows.labels[known]
    rule = rule_scores(use_case, rows.columns)[known]
    return Performance(
        labelled=int(known.sum()),
        positives=int(labels.sum()),
        metrics=_rounded(measure(labels, rows.scores[known], threshold, value)),
        promised=_rounded(promised),
        baseline=_rounded(measure(labels, rule, 0.5, value)),
    )


def account(use_case: UseCase, interval: Interval, rows: ScoredRows, training_runs: int) -> Money:
    """The interval's line of the ledger. Value is counted on labelled rows alone: money is not guessed."""
    known, business = rows.known, use_case.business
    labels = rows.labels[known]
    rule: Flags = rule_scores(use_case, rows.columns)[known] >= 0.5
    return Money(
        currency=business.currency,
        decisions=len(rows),
        labelled=int(known.sum()),
        value=round(total_value(business.value, labels, rows.decisions[known]), 2),
        baseline_value=round(total_value(business.value, labels, rule), 2),
        cost=round(running_cost(business.costs, interval, len(rows), training_runs), 2),
    )


def rule_scores(use_case: UseCase, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """1 where today's rule says yes, else 0; shape ``(rows,)``."""
    rule = Rule(use_case.business.baseline)
    if not rule.names:  # a rule that looks at nothing, such as `1 == 2`, still decides for every row
        return np.full(len(next(iter(columns.values()))), rule.score({}))
    return rule.score_columns(columns)


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in metrics.items()}
