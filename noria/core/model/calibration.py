"""Turns a model's scores into probabilities that mean what they say, or into the number that costs least."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Scores = npt.NDArray[np.float64]
_EDGE = 1e-12


def sigmoid(odds: Scores) -> Scores:
    """Probabilities of log odds; same shape."""
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)


def softmax(margins: Scores) -> Scores:
    """Probabilities of log weights of classes; shape ``(rows, classes)``, each row adds up to 1."""
    weights = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


class Calibration(BaseModel):
    """A map from score to score of the same shape, fitted by `noria.training` on rows the model has not seen.

    Attributes:
        kind: which map it is.
        scores, probabilities: ``isotonic``: the points of a non-decreasing piecewise linear map. None at all: the identity.
        slope, intercept: ``sigmoid``: the log odds become ``slope * log odds + intercept`` (Platt, 1999, on log odds).
        temperature: ``temperature``: every class's log probability is divided by it, then normalised (Guo et al., "On
            Calibration of Modern Neural Networks", 2017).
        shift: ``shift``: is added to a number, so that it is the quantile that costs least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["isotonic", "sigmoid", "temperature", "shift"] = "isotonic"
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0
    temperature: float = 1.0
    shift: float = 0.0

    def apply(self, scores: Scores) -> Scores:
        """Calibrated scores, same shape."""
        if self.kind == "shift":
            return scores + self.shift
        if self.kind == "sigmoid":
            clipped = np.clip(scores, _EDGE, 1 - _EDGE)
            odds = self.slope * (np.log(clipped) - np.log1p(-clipped)) + self.intercept
            return sigmoid(odds)
        if self.kind == "temperature":
            return softmax(np.log(np.clip(scores, _EDGE, 1.0)) / self.temperature)
        return np.interp(scores, *self._points) if self.scores else scores

    def apply_one(self, score: float) -> float:
        """The same of one probability of yes, or of one number, to the last bit; NaN where there is none."""
        if self.kind == "shift":
            return score + self.shift
        if self.kind != "isotonic":
            return float(self.apply(np.array([score]))[0])
        return _interpolated(score, self.scores, self.probabilities) if self.scores else score

    @cached_property
    def _points(self) -> tuple[Scores, Scores]:
        """As arrays, made once: a single row is scored in less time than a tuple is converted."""
        return np.asarray(self.scores, dtype=np.float64), np.asarray(self.probabilities, dtype=np.float64)


def _interpolated(score: float, scores: tuple[float, ...], probabilities: tuple[float, ...]) -> float:
    """As `numpy.interp` does it, in the same order of operations."""
    if score != score:  # noqa: PLR0124 - NaN is not itself
        return score
    place = bisect_right(scores, score) - 1
    if place < 0:
        return probabilities[0]
    if place >= len(scores) - 1:
        return probabilities[-1]
    if scores[place] == score:
        return probabilities[place]
    slope = (probabilities[place + 1] - probabilities[place]) / (scores[place + 1] - scores[place])
    return slope * (score - scores[place]) + probabilities[place]
