"""Calibration: fits the map from a model's scores to calibrated ones, on rows that the model has not seen.

Each map is fitted to some of the rows and compared on the others, so that the map with the most freedom does not win by
overfitting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.metrics.regression import pinball
from noria.core.model.calibration import Calibration, sigmoid
from noria.core.model.decision import Labels, Scores
from noria.core.use_case import Task
from noria.training.data.cross_folds import cross_folds
from noria.training.data.target import BINARY, PredictionTarget
from noria.training.models.base.margin import loss_of, margins_of
from noria.training.models.base.minimise import lowest

_MOST_BINS = 100
_ROWS_PER_BIN = 100
_EDGE = 1e-9
ISOTONIC_ROWS = 1000
"""Fewest rows of an isotonic map: fewer add more noise than shape (Niculescu-Mizil and Caruana, "Predicting Good
Probabilities With Supervised Learning", 2005)."""
SLOPE_SPREAD, INTERCEPT_SPREAD = 0.5, 1.0
"""Standard deviations of a normal prior around the identity, on the slope or the log temperature and on the intercept. A few
dozen perfectly separated rows would call for certainty; with thousands of rows the prior has no effect."""
COLDEST, HOTTEST = 0.5, 5.0
"""Limits of the temperature; a value beyond them means that the scores are wrong, not over- or underconfident."""
Aims = Sequence[tuple[float, float | None]]
"""Share of each part of the model, and the quantile of the label that it aims at, or None for the mean."""
_Fit = Callable[[Scores, Labels], Calibration]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The chosen calibration.

    Attributes:
        calibration: the map, fitted to all rows.
        scores: out-of-fold calibrated scores of the rows; shape ``(rows,)`` or ``(rows, classes)``.
        name: name of the map, with the losses of all maps, for the report.
    """

    calibration: Calibration
    scores: Scores
    name: str


def calibrate(scores: Scores, labels: Labels, target: PredictionTarget = BINARY) -> Calibration:
    """The map with the lowest out-of-fold loss; arguments as for `choose_calibration`."""
    return choose_calibration(scores, labels, target).calibration


def choose_calibration(scores: Scores, labels: Labels, target: PredictionTarget) -> Calibrated:
    """Fit the maps of the task and choose the one with the lowest out-of-fold loss.

    Binary classification: isotonic (from 1,000 rows on) or sigmoid. Multiclass: temperature. Both by log loss; the identity
    wins if it is better. Regression: the shift to the quantile that costs least, by pinball loss.

    Args:
        scores: of rows that the model has not seen; shape ``(rows,)`` or ``(rows, classes)``.
        labels: shape ``(rows,)``.
        target: what is predicted.
    """
    maps = _maps(target, len(scores))
    unseen = {name: _out_of_fold(fit, scores, labels) for name, fit in maps.items()}
    losses = {name: _loss(target, labels, calibrated) for name, calibrated in unseen.items()}
    best = min(losses, key=losses.__getitem__)
    shown = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    measure = "cost of a wrong number" if target.task.is_regression else "log loss"
    return Calibrated(maps[best](scores, labels), unseen[best], f"{best} ({measure} out of fold: {shown})")


def isotonic_map(scores: Scores, labels: Labels) -> Calibration:
    """Isotonic regression (pool adjacent violators) on about equally full bins of scores.

    A step rises by less than one more row would move its rate, from its first bin's centre to its last one's, so that scores
    that the model distinguishes keep their order. So do scores beyond the outermost centres: nothing else is known of them.
    """
    steps: list[_Step] = []
    for step in _bins(scores, labels):
        steps.append(step)
        while len(steps) > 1 and steps[-2].rate >= steps[-1].rate:
            last = steps.pop()
            steps.append(steps.pop().joined(last))
    points = {0.0: steps[0].least} | {center: rate for step in steps for center, rate in step.points} | {1.0: steps[-1].most}
    rates = np.maximum.accumulate(np.array(list(points.values())))
    return Calibration(scores=tuple(points), probabilities=tuple(rates.tolist()))


@dataclass(frozen=True)
class _Step:
    """Neighbouring bins with one rate."""

    first: float
    last: float
    rate: float
    rows: int

    @property
    def least(self) -> float:
        """The rate, had one more row not happened."""
        return self.rate * self.rows / (self.rows + 1)

    @property
    def most(self) -> float:
        """The rate, had one more row happened."""
        return self.rate + (1 - self.rate) / (self.rows + 1)

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        if self.first == self.last:
            return ((self.first, self.rate),)
        return (self.first, self.least), (self.last, self.most)

    def joined(self, other: _Step) -> _Step:
        rows = self.rows + other.rows
        return _Step(self.first, other.last, (self.rate * self.rows + other.rate * other.rows) / rows, rows)


def _bins(scores: Scores, labels: Labels) -> Iterator[_Step]:
    """About equally full bins, in order; equal scores are never parted."""
    distinct, number, rows = np.unique(scores, return_inverse=True, return_counts=True)
    count = int(np.clip(len(scores) // _ROWS_PER_BIN, 2, _MOST_BINS))
    middle = np.cumsum(rows) - rows / 2
    bins = np.unique(np.floor(middle * count / len(scores)), return_inverse=True)[1]
    sizes = np.bincount(bins, weights=rows)
    centers = np.bincount(bins, weights=rows * distinct) / sizes
    rates = np.bincount(bins[number], weights=labels) / sizes
    for center, rate, size in zip(centers.tolist(), rates.tolist(), sizes.astype(int).tolist(), strict=True):
        yield _Step(center, center, rate, size)


def sigmoid_map(scores: Scores, labels: Labels) -> Calibration:
    """A straight line in log odds (Platt, 1999), fitted by Newton's method; a falling line is replaced by a level one.

    The prior `SLOPE_SPREAD` draws the line towards the identity, which matters only for few rows.
    """
    odds = margins_of(BINARY, scores)
    design = np.concatenate([odds, np.ones_like(odds)], axis=1)
    identity, precision = np.array([1.0, 0.0]), np.array([SLOPE_SPREAD, INTERCEPT_SPREAD]) ** -2 / len(labels)

    def loss_at(line: npt.NDArray[np.float64]) -> float:
        return loss_of(BINARY, labels, (design @ line)[:, None]) + float(precision @ (line - identity) ** 2) / 2

    line, loss = identity, loss_at(identity)
    for _ in range(50):
        probability = sigmoid(design @ line)
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design / len(labels) + np.diag(precision)
        gradient = design.T @ (probability - labels) / len(labels) + precision * (line - identity)
        step = np.linalg.solve(curvature, gradient)
        # Far from the minimum a whole step can overshoot: halve it until it gains something.
        tried = ((new, loss_at(new)) for new in (line - step / 2**half for half in range(20)))
        new, reached = next(((new, low) for new, low in tried if low < loss - 1e-12), (line, loss))
        if reached == loss:
            break
        line, loss = new, reached
    return Calibration(kind="sigmoid", slope=max(float(line[0]), 1e-3), intercept=float(line[1]))


def temperature_map(scores: Scores, labels: Labels) -> Calibration:
    """One number that divides every class's log probability (Guo et al., 2017), from 0.5 to 5.

    The prior `SLOPE_SPREAD` draws it towards 1, which matters only for few rows.
    """
    target = PredictionTarget(Task.MULTICLASS, scores.shape[1])
    margins = margins_of(target, scores)
    precision = SLOPE_SPREAD**-2 / (2 * len(labels))

    def loss_at(log_temperature: float) -> float:
        return loss_of(target, labels, margins / np.exp(log_temperature)) + precision * log_temperature**2

    log_temperature = lowest(loss_at, np.log(COLDEST), np.log(HOTTEST))
    return Calibration(kind="temperature", temperature=float(np.exp(log_temperature)))


def shift_map(quantile: float) -> _Fit:
    """Adds the quantile of label less score to every number, so that the result is that quantile of the label."""

    def fit(scores: Scores, labels: Labels) -> Calibration:
        return Calibration(kind="shift", shift=float(np.quantile(labels - scores, quantile)))

    return fit


def at_level(scores: Scores, labels: Labels, target: PredictionTarget = BINARY, aims: Aims = ((1.0, None),)) -> Scores:
    """The scores shifted by one constant (per class, in log odds) so that their mean agrees with the labels; same shape.

    The next model is fitted with these rows as well, and learns their overall rate by itself. Calibrating on scores that
    have the right level leaves only their spread to correct, so the rate is not corrected twice. A number that aims at a
    quantile of the label is shifted to that quantile, not to the mean.

    Args:
        scores: of rows that the model has not seen; shape ``(rows,)`` or ``(rows, classes)``.
        labels: shape ``(rows,)``.
        target: what is predicted.
        aims: regression: what the parts of the model aim at.
    """
    if target.task.is_regression:
        errors = labels - scores
        offsets = (w * float(np.mean(errors) if q is None else np.quantile(errors, q)) for w, q in aims)
        return np.asarray(scores + sum(offsets), dtype=np.float64)
    if target.task.is_multiclass:
        return _at_rates(scores, np.bincount(labels, minlength=target.classes) / len(labels))
    return _at_rate(scores, float(labels.mean()))


def _at_rate(scores: Scores, rate: float) -> Scores:
    odds = np.log(np.clip(scores, _EDGE, 1 - _EDGE)) - np.log1p(-np.clip(scores, _EDGE, 1 - _EDGE))
    low, high = -20.0, 20.0
    for _ in range(60):  # the mean grows with the shift: bisect down to the precision of float64
        middle = (low + high) / 2
        low, high = (middle, high) if float(np.mean(sigmoid(odds + middle))) < rate else (low, middle)
    return sigmoid(odds + (low + high) / 2)


def _at_rates(scores: Scores, rates: npt.NDArray[np.float64]) -> Scores:
    """Scale classes and rows in turn until the means of the classes are the rates (iterative proportional fitting)."""
    scaled = np.clip(scores, _EDGE, 1.0)
    for _ in range(100):
        scaled = scaled * (np.maximum(rates, _EDGE) / scaled.mean(axis=0))
        scaled = scaled / scaled.sum(axis=1, keepdims=True)
    return np.asarray(scaled, dtype=np.float64)


def _maps(target: PredictionTarget, rows: int) -> Mapping[str, _Fit]:
    if target.task.is_regression:
        return {"shift": shift_map(target.quantile), "none": _identity}
    if target.task.is_multiclass:
        return {"temperature": temperature_map, "none": _identity}
    smooth: dict[str, _Fit] = {"sigmoid": sigmoid_map, "none": _identity}
    return smooth if rows < ISOTONIC_ROWS else {"isotonic": isotonic_map, **smooth}


def _identity(scores: Scores, labels: Labels) -> Calibration:  # noqa: ARG001 - a map like the others
    return Calibration()


def _out_of_fold(fit: _Fit, scores: Scores, labels: Labels) -> Scores:
    """Every row's score under a map that was fitted without it; same shape."""
    unseen = scores.copy()
    for others, own in cross_folds(len(scores)):
        if own.any() and others.any():
            unseen[own] = fit(scores[others], labels[others]).apply(scores[own])
    return unseen


def _loss(target: PredictionTarget, labels: Labels, scores: Scores) -> float:
    if target.task.is_regression:
        return pinball(labels, scores, target.quantile)
    return loss_of(target, labels, margins_of(target, scores))
