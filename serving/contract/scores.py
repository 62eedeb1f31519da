"""Which scores are an answer: what a task promises, held against what a model gave."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noria.core.model.bundle import Manifest
from noria.core.model.decision import Scores

_SUM_TOLERANCE = 1e-4  # probabilities leave the graph as float32


def expected_shape(manifest: Manifest, rows: int) -> tuple[int, ...]:
    """Shape of the scores of so many rows: ``(rows,)``, or ``(rows, classes)`` for multiclass."""
    return (rows, len(manifest.classes)) if manifest.task.is_multiclass else (rows,)


def are_answers(manifest: Manifest, scores: Scores) -> npt.NDArray[np.bool_]:
    """Which rows have an answer; shape ``(rows,)``.

    A number must be finite; a probability must lie in 0 to 1, and those of all classes must sum to 1.
    """
    if manifest.task.is_regression:
        return np.isfinite(scores)
    probable = (scores >= 0.0) & (scores <= 1.0)  # not a number is neither
    if manifest.task.is_binary:
        return probable
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.abs(scores.sum(axis=1) - 1.0) <= _SUM_TOLERANCE
    return np.asarray(probable.all(axis=1) & whole, dtype=np.bool_)
