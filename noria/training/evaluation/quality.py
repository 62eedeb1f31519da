"""Quality plots: calibration, confusion and residuals."""

from __future__ import annotations

from noria.core.lifecycle.evaluation import CalibrationBin, CurvePoint
from noria.core.metrics import binary, multiclass
from noria.training.data.sampling import even_positions
from noria.training.evaluation.scored_slice import ScoredSlice

MOST_RESIDUALS = 500


def calibration_bins(outcome: ScoredSlice) -> tuple[CalibrationBin, ...]:
    """Rows of similar scores: rate of yes, rate at which the chosen class was right, or mean label."""
    scores = outcome.policy.chosen_scores(outcome.scores, outcome.decisions)
    labels = outcome.labels == outcome.decisions if outcome.policy.task.is_multiclass else outcome.labels
    curve = binary.calibration_curve(labels, scores)
    return tuple(CalibrationBin(score=part.score, rate=part.rate, rows=part.rows) for part in curve)


def confusion_counts(outcome: ScoredSlice) -> tuple[tuple[int, ...], ...]:
    """Rows by label, then by decision; empty for regression."""
    if outcome.policy.task.is_regression:
        return ()
    if outcome.policy.task.is_multiclass:
        counts = multiclass.confusion(outcome.labels, outcome.decisions, len(outcome.policy.classes))
        return tuple(tuple(row) for row in counts.tolist())
    cells = binary.confusion(outcome.labels, outcome.decisions)
    return (cells.true_negative, cells.false_positive), (cells.false_negative, cells.true_positive)


def residual_sample(outcome: ScoredSlice) -> tuple[CurvePoint, ...]:
    """An even sample of prediction and error (prediction less label); empty unless the task is regression."""
    if not outcome.policy.task.is_regression:
        return ()
    some = outcome.take(even_positions(len(outcome), MOST_RESIDUALS))
    errors = some.scores - some.labels
    return tuple(CurvePoint(x=float(x), y=float(y)) for x, y in zip(some.scores, errors, strict=True))
