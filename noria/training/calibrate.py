"""Fits the map from a model's scores to probabilities, on rows that the model has not seen."""

from __future__ import annotations

import numpy as np

from noria.core.calibration import Calibration
from noria.training.candidate import Labels, Probabilities

_MOST_BINS = 100
_ROWS_PER_BIN = 100
_EDGE = 1e-9


def calibrate(scores: Probabilities, labels: Labels) -> Calibration:
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


def at_level(scores: Probabilities, rate: float) -> Probabilities:
    """The scores moved by one constant in log odds, so that their mean is `rate`.

    A model is fitted again with the rows that its predecessor was calibrated on, and learns their overall rate by itself.
    Calibrating on scores that are at the right level already leaves only their spread to mend, so that the rate is not
    corrected twice.
    """
    odds = np.log(np.clip(scores, _EDGE, 1 - _EDGE)) - np.log1p(-np.clip(scores, _EDGE, 1 - _EDGE))
    low, high = -20.0, 20.0
    for _ in range(60):  # the mean grows with the shift: halve the range until it is as narrow as float64 goes
        middle = (low + high) / 2
        low, high = (middle, high) if float(np.mean(_sigmoid(odds + middle))) < rate else (low, middle)
    return _sigmoid(odds + (low + high) / 2)


def _sigmoid(odds: Probabilities) -> Probabilities:
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)


def _pool(one: tuple[float, float, int], other: tuple[float, float, int]) -> tuple[float, float, int]:
    rows = one[2] + other[2]
    center = (one[0] * one[2] + other[0] * other[2]) / rows
    return center, (one[1] * one[2] + other[1] * other[2]) / rows, rows
