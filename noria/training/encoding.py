"""Fits the encoder: which columns become which numbers, learnt from training rows alone.

A category that few rows have would tell a model its own label through the mean of its labels. So the matrix that a model is
trained on gets every row's mean from *other* stretches of time (out of fold), as scikit-learn's TargetEncoder does, and
means are drawn towards the overall rate by `smoothing` imagined rows. A mean is kept as its log odds against the overall
rate: centred and of one scale for every feature, so that a linear model can take it as it is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.encoder import Column, Encoder, LookupColumn, Matrix, NumericColumn, OneHotColumn
from noria.core.use_case import Features
from noria.training.dataset import TrainingSet

_FOLDS = 5


@dataclass(frozen=True)
class EncodingOptions:
    """How a kind of model wants its rows."""

    scale: bool
    """Centre and scale numbers and fill in missing ones; otherwise they stay as they are, with NaN for missing."""
    one_hot_up_to: int
    """A category of at most this many values becomes one column per value; others become a mean and a frequency."""
    smoothing: float
    """Weight of the overall rate in a category's mean, in rows."""


def fit_encoder(features: Features, rows: TrainingSet, options: EncodingOptions) -> Encoder:
    """Learn scales, categories, means and frequencies."""
    numeric = (_numeric(name, np.asarray(rows.columns[name]), options.scale) for name in features.numeric)
    categorical = (column for name in features.categorical for column in _categorical(name, rows, options))
    return Encoder(columns=(*numeric, *categorical))


def encode_for_training(encoder: Encoder, rows: TrainingSet, options: EncodingOptions) -> Matrix:
    """The matrix to train on: as `encoder` gives it, but with the means of categories taken out of fold."""
    matrix = encoder.encode_columns(rows.columns)
    for position, name in _mean_positions(encoder):
        matrix[:, position] = _out_of_fold(rows.columns[name], rows.labels, options.smoothing)
    return matrix


def _numeric(name: str, values: npt.NDArray[np.float64], scale: bool) -> NumericColumn:
    if not scale:
        return NumericColumn(name=name)
    known = values[~np.isnan(values)]
    center, spread = (float(np.mean(known)), float(np.std(known))) if len(known) else (0.0, 1.0)
    return NumericColumn(name=name, center=center, scale=spread or 1.0, missing=0.0)


def _categorical(name: str, rows: TrainingSet, options: EncodingOptions) -> Iterator[Column]:
    counts = Counter(rows.columns[name])
    known = sorted(category for category in counts if category is not None)
    if len(known) <= options.one_hot_up_to:
        yield OneHotColumn(name=name, categories=tuple(known))
        return
    means = _log_odds(rows.columns[name], rows.labels, options.smoothing)
    shares = {category: math.log10((counts[category] + 1) / (len(rows) + 1)) for category in (None, *known)}
    # The mean comes first: `_mean_positions` relies on it.
    yield LookupColumn(name=name, values={key: means[key] for key in known}, unseen=0.0, missing=means.get(None, 0.0))
    unseen = math.log10(1 / (len(rows) + 1))
    yield LookupColumn(name=name, values={key: shares[key] for key in known}, unseen=unseen, missing=shares[None])


def _mean_positions(encoder: Encoder) -> Iterator[tuple[int, str]]:
    """Where the encoded matrix holds the means of which feature."""
    position, previous = 0, ""
    for column in encoder.columns:
        if isinstance(column, LookupColumn) and column.name != previous:
            yield position, column.name
        position, previous = position + column.width, column.name


def _out_of_fold(values: Sequence[Any], labels: npt.NDArray[np.bool_], smoothing: float) -> npt.NDArray[np.float64]:
    encoded = np.empty(len(labels))
    for fold in np.array_split(np.arange(len(labels)), _FOLDS):
        if not len(fold):
            continue
        first, last = int(fold[0]), int(fold[-1]) + 1
        others = [*values[:first], *values[last:]]
        means = _log_odds(others, np.delete(labels, fold), smoothing)
        encoded[fold] = [means.get(value, 0.0) for value in values[first:last]]
    return encoded


def _log_odds(values: Sequence[Any], labels: npt.NDArray[np.bool_], smoothing: float) -> dict[Any, float]:
    """Smoothed log odds of each category (None is one of them) against the overall rate."""
    counts = Counter(values)
    positives: defaultdict[Any, int] = defaultdict(int)
    for value, label in zip(values, labels.tolist(), strict=True):
        positives[value] += label
    rate = (int(labels.sum()) + 0.5) / (len(labels) + 1)
    smoothed = {key: (positives[key] + smoothing * rate) / (count + smoothing) for key, count in counts.items()}
    return {key: _logit(mean) - _logit(rate) for key, mean in smoothed.items()}


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
