"""Metrics on test rows with their intervals, from resampled rows; the same rows for every contender."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MetricComparison:
    """One metric of one contender.

    Attributes:
        value: on all test rows.
        low, high: 95 % interval over resampled rows.
        lead: 95 % interval of how much better the first contender is on the same resampled rows; above 0 it is ahead.
    """

    value: float
    low: float
    high: float
    lead: tuple[float, float]

    @property
    def verdict(self) -> str:
        """The first contender against this one: tied, ahead or BEHIND."""
        low, high = self.lead
        return "tied" if low <= 0 <= high else "ahead" if low > 0 else "BEHIND"


def compare(
    task: str, metric: str, labels: Any, scores: Mapping[str, Numbers], *, first: str, seed: int
) -> dict[str, MetricComparison]:
    """One metric of every contender, and the first contender compared with each.

    Args:
        task: binary_classification, multiclass or regression.
        metric: roc_auc, log_loss, accuracy or rmse.
        labels: of the test rows; classes as indices.
        scores: of each contender.
        first: the contender that the others are compared with.
        seed: of the resampling.
    """
    measure, sign = MEASURES[metric]
    random = np.random.default_rng(seed)
    draws = [_drawn(task, labels, random) for _ in range(RESAMPLES)]
    resampled = {name: np.array([measure(labels[rows], found[rows]) for rows in draws]) for name, found in scores.items()}
    compared = {}
    for name, values in resampled.items():
        low, high = np.quantile(values, [0.025, 0.975])
        lead = np.quantile(sign * (resampled[first] - values), [0.025, 0.975])
        compared[name] = MetricComparison(
            measure(labels, scores[name]), float(low), float(high), (float(lead[0]), float(lead[1]))
        )
    return compared


def _drawn(task: str, labels: Any, random: np.random.Generator) -> npt.NDArray[np.intp]:
    """Indices of rows drawn with replacement; in binary classification, from each class as many as it has."""
    if task != "binary_classification":
        return random.integers(0, len(labels), len(labels))
    parts = [np.flatnonzero(labels == outcome) for outcome in (False, True)]
    return np.concatenate([random.choice(part, len(part)) for part in parts])


def roc_auc(labels: Any, scores: Numbers) -> float:
    """Probability that a positive row scores above a negative one (Mann-Whitney); ties count half."""
    order = np.argsort(scores, kind="stable")
    found, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse] if len(found) else np.empty(0)
    positive = labels[order]
    many = int(positive.sum())
    return float((ranks[positive].sum() - many * (many + 1) / 2) / (many * (len(labels) - many)))


def log_loss(labels: Any, scores: Numbers) -> float:
    """Mean negative log probability of the true class; probabilities are kept 1e-6 away from 0."""
    kept = np.clip(scores, 1e-6, 1)
    kept = kept / kept.sum(axis=1, keepdims=True)
    return float(-np.log(kept[np.arange(len(labels)), labels]).mean())


def accuracy(labels: Any, scores: Numbers) -> float:
    """Share of rows whose most probable class is the true one."""
    return float((scores.argmax(axis=1) == labels).mean())


def rmse(labels: Any, scores: Numbers) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((labels - scores) ** 2)))


MEASURES: Mapping[str, tuple[Callable[[Any, Numbers], float], int]] = {
    "roc_auc": (roc_auc, 1),
    "accuracy": (accuracy, 1),
    "log_loss": (log_loss, -1),
    "rmse": (rmse, -1),
}
"""The measure, and 1 where more is better."""
METRICS = {"binary_classification": ("roc_auc",), "multiclass": ("log_loss", "accuracy"), "regression": ("rmse",)}
