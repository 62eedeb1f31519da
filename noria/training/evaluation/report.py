"""Puts together everything that was found about a candidate on rows that nothing else has touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from noria.core.lifecycle.evaluation import Estimate, EvaluationReport
from noria.core.use_case import Task, UseCase
from noria.training.evaluation.bootstrap import Resampler, chance_of
from noria.training.evaluation.business_value import value_curve, value_lines
from noria.training.evaluation.comparators import ReferenceModel, compare, score_references
from noria.training.evaluation.explanations import contributions, examples, explained_rows
from noria.training.evaluation.fairness import compare_decisions, compare_errors, fairness_intervals, fairness_metrics
from noria.training.evaluation.input import EvaluationInput
from noria.training.evaluation.leakage import suspects
from noria.training.evaluation.learning_curve import learning_curve
from noria.training.evaluation.quality import calibration_bins, confusion_counts, residual_sample
from noria.training.evaluation.scored_slice import ScoredSlice
from noria.training.evaluation.segments import judge_segments


def evaluate(use_case: UseCase, judged: EvaluationInput) -> EvaluationReport:
    """Hold a candidate's scores against what happened; the same arguments give the same report.

    Args:
        use_case: says the task, the money, the segments, what is protected and what gates ask for.
        judged: the candidate and the rows it is judged on.
    """
    rows = judged.fold.validation
    outcome = ScoredSlice(judged.policy, use_case.business.value, rows.labels, judged.scores)
    resampler = chance_of(use_case, rows, judged.seed)
    rivals, chosen = score_references(use_case, rows, judged.rivals), explained_rows(judged)
    found: dict[str, Any] = {
        **_what_was_judged(use_case, judged, outcome, resampler, rivals),
        **_quality(use_case, judged, outcome, resampler),
        "segments": tuple(judge_segments(use_case, rows, outcome, resampler)),
        "rivals": tuple(compare(use_case, outcome, rivals, resampler, judged.search_metric)),
        "values": tuple(value_lines(outcome, rivals, resampler)),
        "threshold_curve": value_curve(outcome),
        "contributions": contributions(use_case, rows, judged.model, chosen),
        "explained_rows": len(chosen),
        "examples": examples(use_case, rows, outcome, judged.model),
        "suspects": suspects(use_case, judged.fold, outcome),
        "learning_curve": tuple(learning_curve(judged, outcome)),
    }
    return EvaluationReport(**found)


def _what_was_judged(
    use_case: UseCase, judged: EvaluationInput, outcome: ScoredSlice, resampler: Resampler, rivals: Sequence[ReferenceModel]
) -> dict[str, Any]:
    classes = judged.policy.classes
    counts = np.bincount(outcome.labels, minlength=len(classes)).tolist() if use_case.task is Task.MULTICLASS else []
    return {
        "task": use_case.task,
        "start": judged.fold.window.start.isoformat(),
        "end": judged.fold.window.end.isoformat(),
        "rows": len(outcome),
        "training_rows": len(judged.fold.training),
        "positives": int(outcome.labels.sum()) if use_case.task is Task.BINARY_CLASSIFICATION else 0,
        "classes": dict(zip(classes, counts, strict=True)),
        "threshold": judged.policy.threshold,
        "search_metric": judged.search_metric,
        "calibrated_by": judged.calibrated_by,
        "resampled": resampler.drawn,
        "parity": judged.parity,
        "note": " ".join(filter(None, (judged.note, *(rival.note for rival in rivals)))),
    }


def _quality(use_case: UseCase, judged: EvaluationInput, outcome: ScoredSlice, resampler: Resampler) -> dict[str, Any]:
    fairness = compare_decisions(use_case, judged.fold.validation, outcome, resampler)
    measured = {"parity": judged.parity, "latency_ms": judged.latency_ms, "size_mb": judged.size_mb}
    known = {name: number for name, number in measured.items() if number is not None}
    alone = fairness if use_case.task is Task.BINARY_CLASSIFICATION else ()  # a choice among classes has no such gate
    return {
        "metrics": outcome.metrics | fairness_metrics(alone) | known,
        "intervals": _intervals(outcome, resampler) | fairness_intervals(alone),
        "calibration": calibration_bins(outcome),
        "confusion": confusion_counts(outcome),
        "residuals": residual_sample(outcome),
        "fairness": fairness,
        "group_errors": tuple(compare_errors(use_case, judged.fold.validation, outcome, resampler)),
    }


def _intervals(outcome: ScoredSlice, resampler: Resampler) -> dict[str, Estimate]:
    found = {metric: resampler.interval(metric, outcome) for metric in outcome.metrics}
    return {metric: estimate for metric, estimate in found.items() if estimate is not None}
