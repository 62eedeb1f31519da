"""Fits the encoder: which columns become which numbers, learnt from training rows alone.

A category that few rows have would tell a model its own label through the mean of its labels. So the matrix that a model is
trained on gets every row's mean from *other* rows (out of fold), as scikit-learn's TargetEncoder does, and
means are drawn towards the overall mean by `smoothing` imagined rows. What is kept of a mean is centred and of one scale for
every feature, so that a linear model can take it as it is: for yes or no its log odds against the overall rate, for one of
several classes the same of every class, for a number its distance from the overall mean in standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.base.errors import NotEnoughDataError
from noria.core.model.decision import Labels
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import Column, LookupColumn, Matrix, NumericColumn, OneHotColumn, RuleColumn
from noria.core.use_case import Features
from noria.core.use_case.rule import Rule
from noria.training.data.columns import Categories
from noria.training.data.dataset import TrainingSet
from noria.training.data.target import BINARY, PredictionTarget

MOST_CLASS_MEANS = 12
"""A feature gets a column of means for each of the first so many classes; more would drown the other features."""
MOST_TEXTS = 20_000
"""Categories kept per feature, the most frequent; rarer ones count as unseen. A feature with a text of its
own in every row would make a bundle as large as the data, and teach nothing."""
_FOLDS = 5
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EncodingOptions:
    """How a kind of model wants its rows."""

    scale: bool
    """Centre and scale numbers and fill in missing ones; otherwise they stay as they are, with NaN for missing."""
    one_hot_up_to: int
    """A category of at most this many values becomes one column per value; others become means and a frequency."""
    smoothing: float
    """Weight of the overall mean in a category's mean, in rows."""
    target: PredictionTarget = BINARY
    """What is predicted: means are taken of it, or of its multiples of the anchor, which then is the last column."""


LEAST_ANCHOR = 0.1
"""An anchor is at least so many times its median over the training rows: a label can be any multiple of a tiny one."""


def fit_encoder(features: Features, rows: TrainingSet, options: EncodingOptions) -> Encoder:
    """Learn scales, categories, means and frequencies.

    Raises:
        NotEnoughDataError: `training.anchor` gives no number above 0 for any row.
    """
    last = _anchor_column(options.target.anchor, rows)
    targets = _targets(_multiples(rows, last), options.target)
    numeric = (_numeric(name, np.asarray(rows.columns[name]), options.scale) for name in features.numeric)
    categorical = (
        column for name in features.categorical for column in _categorical(name, rows.categories(name), targets, options)
    )
    return Encoder(columns=(*numeric, *categorical, *last))


def encode(encoder: Encoder, rows: TrainingSet) -> Matrix:
    """What `encoder.encode_columns` gives of the rows, with every text encoded once instead of once a row."""
    matrix = np.empty((len(rows), encoder.width), dtype=np.float32)
    position = 0
    for column in encoder.columns:
        place = matrix[:, position : position + column.width]
        if isinstance(column, RuleColumn):
            place[:] = column.encode_all(rows.columns)
        elif isinstance(values := rows.columns[column.name], Categories):
            place[:] = values.spread(column.encode_many([*values.names, None]).astype(np.float32))
        else:
            place[:] = column.encode_many(values)
        position += column.width
    return matrix


def encode_for_training(encoder: Encoder, rows: TrainingSet, options: EncodingOptions) -> Matrix:
    """The matrix to train on: as `encoder` gives it, but with the means of categories taken out of fold."""
    matrix = encode(encoder, rows)
    for means in out_of_fold(encoder, rows, options):
        means.write(matrix, rows.categories(means.name), 0)
    return matrix


@dataclass(frozen=True, eq=False)
class FoldMeans:
    """What the labels of other folds say of every text of a feature.

    Attributes:
        name: the feature.
        position: where the encoded matrix holds the first of its means.
        texts: every text that the feature has.
        tables: shape ``(folds, texts + 1, means)``; last is what is said of a missing value.
    """

    name: str
    position: int
    texts: tuple[str, ...]
    tables: _Numbers

    def write(self, matrix: Matrix, values: Categories, start: int) -> None:
        """Put the means of some rows, one after another, in their place in the encoded matrix.

        Args:
            matrix: the encoded rows.
            values: the feature of these rows.
            start: position of the first of them among the rows that the encoder was fitted to.
        """
        index = {text: place for place, text in enumerate(self.texts)}
        known = [*(index[text] for text in values.names), len(self.texts)]
        columns = slice(self.position, self.position + self.tables.shape[2])
        folds = _folds(start, start + len(values))
        for fold, table in enumerate(self.tables):
            rows = np.flatnonzero(folds == fold)
            matrix[rows, columns] = values.take(rows).spread(table[known])


def out_of_fold(encoder: Encoder, rows: TrainingSet, options: EncodingOptions) -> tuple[FoldMeans, ...]:
    """The means of categories to train with: of every fold, what the other folds say."""
    last = tuple(column for column in encoder.columns if isinstance(column, RuleColumn))
    targets = _targets(_multiples(rows, last), options.target)
    return tuple(
        _fold_means(name, position, rows.categories(name), targets, options) for position, name in _mean_positions(encoder)
    )


def _anchor_column(expression: str, rows: TrainingSet) -> tuple[RuleColumn, ...]:
    """The column of the anchor, where there is one."""
    if not expression:
        return ()
    rule = Rule(expression)
    asked = RuleColumn(name=rule.reads[0], expression=expression, least=0.0, missing=np.nan)
    found = asked.encode_all(rows.columns)
    if not np.isfinite(found).any():
        raise NotEnoughDataError(f"training.anchor: {expression!r} gives no number above 0 for any of {len(rows)} rows")
    usual = float(np.nanmedian(found))
    return (asked.model_copy(update={"least": LEAST_ANCHOR * usual, "missing": usual}),)


def _multiples(rows: TrainingSet, last: tuple[RuleColumn, ...]) -> Labels:
    """The labels, or how many times the anchor they are."""
    for column in last:
        # As float32, which is what is multiplied back.
        return rows.labels / column.encode_all(rows.columns)[:, 0].astype(np.float32).astype(np.float64)
    return rows.labels


def _targets(labels: Labels, target: PredictionTarget) -> _Numbers:
    """The numbers whose means are taken; shape ``(rows, means)``."""
    if target.task.is_multiclass:
        return np.asarray(labels[:, None] == np.arange(min(target.classes, MOST_CLASS_MEANS)), dtype=np.float64)
    numbers: _Numbers = labels.astype(np.float64)[:, None]
    if target.task.is_regression:
        numbers /= float(numbers.std()) or 1.0
    return numbers


def _numeric(name: str, values: _Numbers, scale: bool) -> NumericColumn:
    if not scale:
        return NumericColumn(name=name)
    known = values[~np.isnan(values)]
    center, spread = (float(np.mean(known)), float(np.std(known))) if len(known) else (0.0, 1.0)
    return NumericColumn(name=name, center=center, scale=spread or 1.0, missing=0.0)


def _categorical(name: str, values: Categories, targets: _Numbers, options: EncodingOptions) -> Iterator[Column]:
    counts = values.counts()
    known = sorted((values.names[index], index) for index in _told_apart(values, counts))
    if len(known) <= options.one_hot_up_to:
        yield OneHotColumn(name=name, categories=tuple(text for text, _ in known))
        return
    # The means come first: `_mean_positions` relies on it.
    for mean in _means(values, targets, options).T:
        yield LookupColumn(
            name=name, values={text: float(mean[index]) for text, index in known}, unseen=0.0, missing=float(mean[-1])
        )
    shares = np.log10((counts + 1) / (len(values) + 1))
    yield LookupColumn(
        name=name,
        values={text: float(shares[index]) for text, index in known},
        unseen=float(np.log10(1 / (len(values) + 1))),
        missing=float(shares[-1]),
    )


def _told_apart(values: Categories, counts: _Numbers) -> list[int]:
    """Categories that are kept: those that rows have, or the most frequent of very many."""
    found = np.flatnonzero(counts[:-1]).tolist()
    if len(found) <= MOST_TEXTS:
        return found
    return sorted(found, key=lambda index: (-counts[index], values.names[index]))[:MOST_TEXTS]


def _mean_positions(encoder: Encoder) -> Iterator[tuple[int, str]]:
    """Where the encoded matrix holds the first mean of which feature."""
    position, previous = 0, ""
    for column in encoder.columns:
        if isinstance(column, LookupColumn) and column.name != previous:
            yield position, column.name
        position, previous = position + column.width, column.name


def _fold_means(name: str, position: int, values: Categories, targets: _Numbers, options: EncodingOptions) -> FoldMeans:
    folds = _folds(0, len(targets))
    parts = [np.flatnonzero(folds == fold) for fold in range(_FOLDS)]
    sums = [_Sums.of(values.take(rows), targets[rows]) for rows in parts]
    tables = [_smoothed(_Sums.together([*sums[:fold], *sums[fold + 1 :]]), options) for fold in range(_FOLDS)]
    unseen = np.ones(len(values.names) + 1, dtype=bool)
    unseen[[*_told_apart(values, values.counts()), -1]] = False
    return FoldMeans(name, position, values.names, np.where(unseen[:, None], 0.0, np.stack(tables)))


def _folds(start: int, stop: int) -> npt.NDArray[np.int8]:
    """The fold of the rows from one position to another, spread evenly over all of them in any order.

    Stretches would not do: in a file that happens to lie in order of its labels, or where rates move with time, a stretch
    is given away by its means, and its labels with it.
    """
    # The golden ratio's multiples fill the unit interval evenly, for any stretch of them (Weyl, 1916).
    return (np.arange(start, stop) * 0.6180339887498949 % 1.0 * _FOLDS).astype(np.int8)


@dataclass(frozen=True, eq=False)
class _Sums:
    """How many rows every text has, and what their targets add up to; the last entry is that of a missing value."""

    counts: _Numbers
    sums: _Numbers
    """Shape ``(texts + 1, means)``."""

    @classmethod
    def of(cls, values: Categories, targets: _Numbers) -> _Sums:
        return cls(values.counts(), np.stack([values.counts(target) for target in targets.T], axis=1))

    @classmethod
    def together(cls, parts: list[_Sums]) -> _Sums:
        return cls(np.sum([part.counts for part in parts], axis=0), np.sum([part.sums for part in parts], axis=0))


def _means(values: Categories, targets: _Numbers, options: EncodingOptions) -> _Numbers:
    return _smoothed(_Sums.of(values, targets), options)


def _smoothed(found: _Sums, options: EncodingOptions) -> _Numbers:
    """What the labels say of every text, smoothed and centred; 0 where no row has it. Shape ``(texts + 1, means)``."""
    counts, sums, rows, total = found.counts[:, None], found.sums, float(found.counts.sum()), found.sums.sum(axis=0)
    if options.target.task.is_regression:
        means = (sums - counts * (total / max(rows, 1.0))) / (counts + options.smoothing)
    else:
        overall = (total + 0.5) / (rows + 1)
        means = _logit((sums + options.smoothing * overall) / (counts + options.smoothing)) - _logit(overall)
    return np.where(counts > 0, means, 0.0)


def _logit(probability: _Numbers) -> _Numbers:
    return np.asarray(np.log(probability) - np.log1p(-probability), dtype=np.float64)
