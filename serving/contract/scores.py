"""Valid scores of each task: finite numbers, probabilities, probabilities that sum to 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from noria.core.model.bundle import Manifest
from noria.core.model.decision import Scores

_SUM_TOLERANCE = 1e-4  # probabilities leave the graph as float32


def expected_shape(manifest: Manifest, rows: int) -> tuple[int, ...]:
    """Shape of the scores of `rows` rows: ``(rows,)``, or ``(rows, classes)`` for multiclass."""
    return (rows, len(manifest.classes)) if manifest.task.is_multiclass else (rows,)


def valid_rows(manifest: Manifest, scores: Scores) -> npt.NDArray[np.bool_]:
    """Whether the scores of each row are valid; shape ``(rows,)``.

    A number must be finite; a probability must be in 0 to 1, and those of all classes must sum to 1.

    Args:
        manifest: says the task and the classes.
        scores: shape as `expected_shape`.
    """
    if manifest.task.is_regression:
        return np.isfinite(scores)
    in_range = (scores >= 0.0) & (scores <= 1.0)  # false for NaN
    if manifest.task.is_binary:
        return in_range
    with np.errstate(over="ignore", invalid="ignore"):
        sums_to_one = np.abs(scores.sum(axis=1) - 1.0) <= _SUM_TOLERANCE
    return np.asarray(in_range.all(axis=1) & sums_to_one, dtype=np.bool_)
