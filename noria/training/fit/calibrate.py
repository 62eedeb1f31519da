"""Fits the map from a model's scores to what they should say, on rows that the model has not seen.

Which map is best is asked of the rows themselves: each is fitted on some of them and judged on the others, so that the one
with most freedom does not win by learning the rows by heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.model.calibration import Calibration
from noria.core.model.decision import Labels, Scores
from noria.core.use_case import Task
from noria.training.data.target import BINARY, PredictionTarget
from noria.training.models.base.margin import loss_of, margins_of
from noria.training.models.base.minimise import lowest

FOLDS = 5
_MOST_BINS = 100
_ROWS_PER_BIN = 100
_EDGE = 1e-9
ISOTONIC_ROWS = 1000
"""Fewer rows teach a free curve more noise than shape (Niculescu-Mizil and Caruana, "Predicting Good Probabilities With
Supervised Learning", 2005)."""
SLOPE_SPREAD, INTERCEPT_SPREAD = 0.5, 1.0
"""How far maps are believed to be from leaving scores as they are, before any row is seen (standard deviations of a normal
prior on the slope or the log temperature, and on the intercept). A few dozen rows, all of them told apart, would call for
certainty; with thousands the rows decide alone."""
COLDEST, HOTTEST = 0.5, 5.0
"""Temperatures beyond these say that something is wrong with the scores, not how sure they are."""
Aims = Sequence[tuple[float, float | None]]
"""Share in the model, and the quantile of the label that this part of it aims at, or None for the mean."""
_Fit = Callable[[Scores, Labels], Calibration]


@dataclass(frozen=True)
class Calibrated:
    """What calibration came to.

    Attributes:
        calibration: the map, fitted on all rows.
        scores: the rows' scores under maps that were fitted without them.
        name: which map it is, with its loss and the others', for the report.
    """

    calibration: Calibration
    scores: Scores
    name: str


def calibrate(scores: Scores, labels: Labels, target: PredictionTarget = BINARY) -> Calibration:
    """The map that does best on rows it was not fitted to."""
    return choose_calibration(scores, labels, target).calibration


def choose_calibration(scores: Scores, labels: Labels, target: PredictionTarget) -> Calibrated:
    """Fit the maps of the task and take the best.

    Binary classification: isotonic (of at least 1,000 rows) or sigmoid. Multiclass: temperature. Both by log loss, and
    neither where the scores as they are do better. Regression: the shift that makes the number the quantile that costs
    least.

    Args:
        scores: of rows that the model has not seen; shape ``(rows,)`` or ``(rows, classes)``.
        labels: what happened.
        goal: what is predicted.
    """
    found: dict[str, tuple[float, Scores]] = {}
    maps = _maps(target, len(scores))
    for name, fit in maps.items():
        unseen = _without_own_fold(fit, scores, labels)
        found[name] = (_loss(target, labels, unseen), unseen)
    best = min(found, key=lambda name: found[name][0])
    losses = ", ".join(f"{name} {loss:.4f}" for name, (loss, _) in found.items())
    measure = "cost of a wrong number" if target.task is Task.REGRESSION else "log loss"
    return Calibrated(maps[best](scores, labels), found[best][1], f"{best} ({measure} out of fold: {losses})")


def isotonic(scores: Scores, labels: Labels) -> Calibration:
    """Centred isotonic regression on equally full bins of scores.

    Isotonic regression (pool adjacent violators) gives a staircase, which ties scores that the model told apart. Joining the
    centres of its steps (Oron and Flournoy, "Centered Isotonic Regression", 2017) keeps the order and is no worse fitted.
    """
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, int(np.clip(len(order) // _ROWS_PER_BIN, 2, _MOST_BINS)))
    blocks: list[tuple[float, float, int]] = []
    for rows in bins:
        blocks.append((float(scores[rows].mean()), float(labels[rows].mean()), len(rows)))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            blocks.append(_pool(blocks.pop(), blocks.pop()))
    # The ends keep scores beyond the outermost centres apart; equal scores can make equal centres, of which one is enough.
    points = {0.0: 0.0} | {center: probability for center, probability, _ in blocks} | {1.0: 1.0}
    return Calibration(scores=tuple(points), probabilities=tuple(points.values()))


def sigmoid(scores: Scores, labels: Labels) -> Calibration:
    """A straight line in log odds (Platt, 1999), fitted by Newton's method; a falling one is refused for a level one.

    The line is drawn towards leaving scores as they are (`SLOPE_SPREAD`), which only matters where rows are few.
    """
    odds = margins_of(BINARY, scores)
    design = np.concatenate([odds, np.ones_like(odds)], axis=1)
    unchanged, held = np.array([1.0, 0.0]), np.array([SLOPE_SPREAD, INTERCEPT_SPREAD]) ** -2 / len(labels)

    def loss_at(line: npt.NDArray[np.float64]) -> float:
        return loss_of(BINARY, labels, (design @ line)[:, None]) + float(held @ (line - unchanged) ** 2) / 2

    line, loss = unchanged, loss_at(unchanged)
    for _ in range(50):
        resampler = _sigmoid(design @ line)
        curvature = (design * (resampler * (1 - resampler))[:, None]).T @ design / len(labels) + np.diag(held)
        step = np.linalg.solve(curvature, design.T @ (resampler - labels) / len(labels) + held * (line - unchanged))
        # Far from the lowest point a whole step can overshoot: halve it until it gains something.
        tried = ((new, loss_at(new)) for new in (line - step / 2**half for half in range(20)))
        new, reached = next(((new, low) for new, low in tried if low < loss - 1e-12), (line, loss))
        if reached == loss:
            break
        line, loss = new, reached
    return Calibration(kind="sigmoid", slope=max(float(line[0]), 1e-3), intercept=float(line[1]))


def temperature(scores: Scores, labels: Labels) -> Calibration:
    """One number that every class's log probability is divided by (Guo et al., 2017), from 0.5 to 5.

    It is drawn towards 1 (`SLOPE_SPREAD`), which only matters where rows are few.
    """
    target = PredictionTarget(Task.MULTICLASS, scores.shape[1])
    margins = margins_of(target, scores)
    held = SLOPE_SPREAD**-2 / (2 * len(labels))
    log = lowest(
        lambda log: loss_of(target, labels, margins / np.exp(log)) + held * log**2, np.log(COLDEST), np.log(HOTTEST)
    )
    return Calibration(kind="temperature", temperature=float(np.exp(log)))


def shift(quantile: float) -> _Fit:
    """The quantile of what was missing: added to every number, it makes the two ways to be wrong cost the same."""

    def fit(scores: Scores, labels: Labels) -> Calibration:
        return Calibration(kind="shift", shift=float(np.quantile(labels - scores, quantile)))

    return fit


def at_level(scores: Scores, labels: Labels, target: PredictionTarget = BINARY, aims: Aims = ((1.0, None),)) -> Scores:
    """The scores moved by one constant (per class, in log odds) so that on average they say what the labels say.

    A model is fitted again with the rows that its predecessor was calibrated on, and learns their overall rate by itself.
    Calibrating on scores that are at the right level already leaves only their spread to mend, so that the rate is not
    corrected twice. A number that aims at a quantile of the label is brought to that quantile, not to the mean.

    Args:
        scores: of rows that the model has not seen.
        labels: what happened.
        goal: what is predicted.
        aims: regression: what the model's parts aim at.
    """
    if target.task is Task.REGRESSION:
        short = labels - scores
        offsets = (w * float(np.mean(short) if q is None else np.quantile(short, q)) for w, q in aims)
        return np.asarray(scores + sum(offsets), dtype=np.float64)
    if target.task is Task.MULTICLASS:
        return _at_rates(scores, np.bincount(labels, minlength=target.classes) / len(labels))
    return _at_rate(scores, float(labels.mean()))


def _at_rate(scores: Scores, rate: float) -> Scores:
    odds = np.log(np.clip(scores, _EDGE, 1 - _EDGE)) - np.log1p(-np.clip(scores, _EDGE, 1 - _EDGE))
    low, high = -20.0, 20.0
    for _ in range(60):  # the mean grows with the shift: halve the range until it is as narrow as float64 goes
        middle = (low + high) / 2
        low, high = (middle, high) if float(np.mean(_sigmoid(odds + middle))) < rate else (low, middle)
    return _sigmoid(odds + (low + high) / 2)


def _at_rates(scores: Scores, rates: npt.NDArray[np.float64]) -> Scores:
    """Scale classes and rows in turn until the classes' means are the rates (iterative proportional fitting)."""
    moved = np.clip(scores, _EDGE, 1.0)
    for _ in range(100):
        moved = moved * (np.maximum(rates, _EDGE) / moved.mean(axis=0))
        moved = moved / moved.sum(axis=1, keepdims=True)
    return np.asarray(moved, dtype=np.float64)


def _maps(target: PredictionTarget, rows: int) -> Mapping[str, _Fit]:
    if target.task is Task.REGRESSION:
        return {"shift": shift(target.quantile), "none": _nothing}
    if target.task is Task.MULTICLASS:
        return {"temperature": temperature, "none": _nothing}
    smooth: dict[str, _Fit] = {"sigmoid": sigmoid, "none": _nothing}
    return smooth if rows < ISOTONIC_ROWS else {"isotonic": isotonic, **smooth}


def _nothing(scores: Scores, labels: Labels) -> Calibration:  # noqa: ARG001 - a map like the others
    return Calibration()


def _without_own_fold(fit: _Fit, scores: Scores, labels: Labels) -> Scores:
    """Every row's score under a map that was fitted without it; folds are taken in turn, row by row."""
    unseen = np.empty_like(scores)
    turns = np.arange(len(scores)) % FOLDS
    for turn in range(FOLDS):
        own = turns == turn
        if own.any():
            unseen[own] = fit(scores[~own], labels[~own]).apply(scores[own]) if not own.all() else scores[own]
    return unseen


def _loss(target: PredictionTarget, labels: Labels, scores: Scores) -> float:
    if target.task is Task.REGRESSION:
        short = labels - scores
        return float(np.mean(np.maximum(target.quantile * short, (target.quantile - 1) * short)))
    return loss_of(target, labels, margins_of(target, scores))


def _sigmoid(odds: npt.NDArray[np.float64]) -> Scores:
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)


def _pool(one: tuple[float, float, int], other: tuple[float, float, int]) -> tuple[float, float, int]:
    rows = one[2] + other[2]
    center = (one[0] * one[2] + other[0] * other[2]) / rows
    return center, (one[1] * one[2] + other[1] * other[2]) / rows, rows
