"""The evaluation report of a candidate, on rows that nothing else has used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from noria.core.lifecycle.evaluation import Estimate, EvaluationReport
from noria.core.metrics.task_profile import search_metric
from noria.core.use_case import UseCase
from noria.training.evaluation.business_value import value_curve, value_lines
from noria.training.evaluation.comparators import ReferenceModel, compare, score_references
from noria.training.evaluation.explanations import contributions, examples, explained_rows
from noria.training.evaluation.fairness import compare_decisions, compare_errors, fairness_intervals, fairness_metrics
from noria.training.evaluation.input import EvaluationInput, ExportFacts
from noria.training.evaluation.leakage import leakage_warnings
from noria.training.evaluation.learning_curve import learning_curve
from noria.training.evaluation.quality import calibration_bins, confusion_counts, residual_sample
from noria.training.evaluation.scored_slice import ScoredSlice
from noria.training.evaluation.segments import segment_metrics
from noria.training.evaluation.uncertainty import Uncertainty, uncertainty_of


def evaluate(use_case: UseCase, evaluated: EvaluationInput, export: ExportFacts) -> EvaluationReport:
    """Compare a candidate's scores with the labels; the same arguments give the same report.

    Args:
        use_case: task, money, segments, protected attributes and gates.
        evaluated: the candidate and the rows it is evaluated on.
        export: measurements of the exported model.

    Example:
        >>> report = evaluate(use_case, evaluated, export)
        >>> report.rows, round(report.metrics["roc_auc"], 2)
        (1039, 0.66)
        >>> report.reference("baseline").differences["value"].low > 0  # better than the baseline, by more than chance
        True
        >>> {line.name: round(line.per_1000.value) for line in report.values}  # money of 1,000 decisions
        {'candidate': 621, 'champion': -337, 'baseline': -337, 'nothing': -808, 'perfect': 1347}
    """
    rows, features = evaluated.fold.validation, use_case.features
    candidate = ScoredSlice(evaluated.policy, use_case.business.value, rows.labels, evaluated.scores)
    uncertainty = uncertainty_of(use_case.training.split, use_case.task, rows, use_case.training.seed)
    metric = search_metric(use_case)
    references = score_references(candidate, rows, evaluated.references)
    explained = explained_rows(len(rows), export)
    sections: dict[str, Any] = {
        **_subject(evaluated, candidate, references),
        **_quality(use_case.protected, evaluated, candidate, uncertainty),
        "parity": export.parity,
        "search_metric": metric,
        "resampled": uncertainty.unit,
        "segments": tuple(segment_metrics(use_case.segments, use_case.gates, rows, candidate, uncertainty)),
        "rivals": tuple(compare(use_case.gates, candidate, references, uncertainty, metric)),
        "values": tuple(value_lines(candidate, references, uncertainty)),
        "threshold_curve": value_curve(candidate),
        "contributions": contributions(features.names, use_case.segments, rows, evaluated.model, explained),
        "explained_rows": len(explained),
        "examples": examples(features, rows, candidate, evaluated.model),
        "suspects": leakage_warnings(features, evaluated.fold, candidate),
        "learning_curve": tuple(learning_curve(evaluated, candidate, metric)),
    }
    sections["metrics"] |= export.metrics
    return EvaluationReport(**sections)


def _subject(evaluated: EvaluationInput, candidate: ScoredSlice, references: Sequence[ReferenceModel]) -> dict[str, Any]:
    """Facts of the evaluation: the slice of rows, the policy and the notes."""
    policy, fold = evaluated.policy, evaluated.fold
    multiclass = policy.task.is_multiclass
    counts = np.bincount(candidate.labels, minlength=len(policy.classes)).tolist() if multiclass else []
    return {
        "task": policy.task,
        "start": fold.window.start.isoformat(),
        "end": fold.window.end.isoformat(),
        "rows": len(candidate),
        "training_rows": len(fold.training),
        "positives": int(candidate.labels.sum()) if policy.task.is_binary else 0,
        "classes": dict(zip(policy.classes, counts, strict=True)),
        "left_out": _left_out(candidate),
        "threshold": policy.threshold,
        "calibrated_by": evaluated.calibrated_by,
        "note": " ".join(filter(None, (evaluated.note, *(_sentence(reference.note) for reference in references)))),
    }


def _left_out(candidate: ScoredSlice) -> dict[str, int]:
    zeros = int(np.count_nonzero(candidate.labels == 0)) if candidate.policy.task.is_regression else 0
    return {"mape": zeros} if zeros else {}


def _quality(
    protected: Sequence[str], evaluated: EvaluationInput, candidate: ScoredSlice, uncertainty: Uncertainty
) -> dict[str, Any]:
    """Metrics with their intervals, the plots, and the comparison of groups."""
    rows = evaluated.fold.validation
    fairness = compare_decisions(protected, rows, candidate, uncertainty)
    gated = fairness if evaluated.policy.task.is_binary else ()  # no gate on fairness among classes
    return {
        "metrics": candidate.metrics | fairness_metrics(gated),
        "intervals": _intervals(candidate, uncertainty) | fairness_intervals(gated),
        "calibration": calibration_bins(candidate),
        "confusion": confusion_counts(candidate),
        "residuals": residual_sample(candidate),
        "fairness": fairness,
        "group_errors": tuple(compare_errors(protected, rows, candidate, uncertainty)),
    }


def _intervals(candidate: ScoredSlice, uncertainty: Uncertainty) -> dict[str, Estimate]:
    estimates = {metric: uncertainty.interval(metric, candidate) for metric in candidate.metrics}
    return {metric: estimate for metric, estimate in estimates.items() if estimate is not None}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
