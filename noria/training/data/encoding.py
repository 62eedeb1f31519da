"""Fits the encoder: how columns become numbers, learnt from training rows alone.

The mean label of a rare category would leak the labels of its rows. So the training matrix has out-of-fold means, as in
scikit-learn's TargetEncoder, and means are shrunk to the overall mean by `smoothing` pseudo-rows. Means are centred and have
one scale for every feature, so that a linear model can use them: log odds against the overall rate (binary, and of every
class for multiclass), or the distance from the overall mean in standard deviations (regression).
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
"""Most classes with a column of means per feature: more columns would outnumber the other features."""
MOST_TEXTS = 20_000
"""Most texts of a feature in the encoder, the most frequent ones; the others count as unseen. A feature with a distinct text
in every row would make the bundle as large as the data."""
_FOLDS = 5
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EncodingOptions:
    """Encoding that a kind of model needs.

    Attributes:
        scale: centre and scale numbers, and replace missing ones; otherwise numbers are unchanged, NaN for missing.
        one_hot_up_to: most values of a category with one column each; others become means and a frequency.
        smoothing: weight of the overall mean in a category's mean, in rows.
        target: what is predicted; means are of the label, or of its ratio to the anchor, which is the last column then.
    """

    scale: bool
    one_hot_up_to: int
    smoothing: float
    target: PredictionTarget = BINARY


LEAST_ANCHOR = 0.1
"""Lower limit of an anchor, as a share of its median over the training rows: ratios to tiny anchors have no limit."""


def fit_encoder(features: Features, rows: TrainingSet, options: EncodingOptions) -> Encoder:
    """Fit scales, categories, means and frequencies.

    Args:
        features: names and kinds of the columns.
        rows: the training rows.
        options: encoding of the kind of model.

    Raises:
        NotEnoughDataError: `training.anchor` gives no number above 0 for any row.
    """
    last = _anchor_column(options.target.anchor, rows)
    targets = _targets(_ratios(rows, last), options.target)
    numeric = (_numeric(name, np.asarray(rows.columns[name]), options.scale) for name in features.numeric)
    categorical = (
        column for name in features.categorical for column in _categorical(name, rows.categories(name), targets, options)
    )
    return Encoder(columns=(*numeric, *categorical, *last))


def encode(encoder: Encoder, rows: TrainingSet) -> Matrix:
    """As `encoder.encode_columns`, with every text encoded once instead of once per row; shape ``(rows, width)``."""
    matrix = np.empty((len(rows), encoder.width), dtype=np.float32)
    position = 0
    for column in encoder.columns:
        part = matrix[:, position : position + column.width]
        if isinstance(column, RuleColumn):
            part[:] = column.encode_all(rows.columns)
        elif isinstance(values := rows.columns[column.name], Categories):
            part[:] = values.spread(column.encode_many([*values.names, None]).astype(np.float32))
        else:
            part[:] = column.encode_many(values)
        position += column.width
    return matrix


def encode_for_training(encoder: Encoder, rows: TrainingSet, options: EncodingOptions) -> Matrix:
    """The training matrix: as `encode`, with out-of-fold means of categories; shape ``(rows, width)``."""
    matrix = encode(encoder, rows)
    for means in out_of_fold(encoder, rows, options):
        means.write(matrix, rows.categories(means.name), 0)
    return matrix


@dataclass(frozen=True, eq=False)
class FoldMeans:
    """Out-of-fold means of every text of a feature.

    Attributes:
        name: the feature.
        position: column of its first mean in the encoded matrix.
        texts: every text of the feature.
        tables: means of the other folds' labels; shape ``(folds, texts + 1, means)``, the last text is a missing value.
    """

    name: str
    position: int
    texts: tuple[str, ...]
    tables: _Numbers

    def write(self, matrix: Matrix, values: Categories, start: int) -> None:
        """Write the means of consecutive rows into the encoded matrix.

        Args:
            matrix: the encoded rows; shape ``(rows, width)``.
            values: the feature of these rows.
            start: position of the first of them among the rows that the encoder was fitted to.
        """
        index = {text: number for number, text in enumerate(self.texts)}
        entries = [*(index[text] for text in values.names), len(self.texts)]
        columns = slice(self.position, self.position + self.tables.shape[2])
        folds = _folds(start, start + len(values))
        for fold, table in enumerate(self.tables):
            rows = np.flatnonzero(folds == fold)
            matrix[rows, columns] = values.take(rows).spread(table[entries])


def out_of_fold(encoder: Encoder, rows: TrainingSet, options: EncodingOptions) -> tuple[FoldMeans, ...]:
    """Out-of-fold means of every feature that is encoded by means."""
    last = tuple(column for column in encoder.columns if isinstance(column, RuleColumn))
    targets = _targets(_ratios(rows, last), options.target)
    return tuple(
        _fold_means(name, position, rows.categories(name), targets, options) for position, name in _mean_positions(encoder)
    )


def _anchor_column(expression: str, rows: TrainingSet) -> tuple[RuleColumn, ...]:
    """The column of the anchor; empty if there is none."""
    if not expression:
        return ()
    rule = Rule(expression)
    column = RuleColumn(name=rule.reads[0], expression=expression, least=0.0, missing=np.nan)
    values = column.encode_all(rows.columns)
    if not np.isfinite(values).any():
        raise NotEnoughDataError(f"training.anchor: {expression!r} gives no number above 0 for any of {len(rows)} rows")
    median = float(np.nanmedian(values))
    return (column.model_copy(update={"least": LEAST_ANCHOR * median, "missing": median}),)


def _ratios(rows: TrainingSet, last: tuple[RuleColumn, ...]) -> Labels:
    """The labels, or their ratios to the anchor; shape ``(rows,)``."""
    for column in last:
        # In float32, as the prediction is multiplied by the float32 anchor.
        return rows.labels / column.encode_all(rows.columns)[:, 0].astype(np.float32).astype(np.float64)
    return rows.labels


def _targets(labels: Labels, target: PredictionTarget) -> _Numbers:
    """Numbers whose means are encoded; shape ``(rows, means)``."""
    if target.task.is_multiclass:
        return np.asarray(labels[:, None] == np.arange(min(target.classes, MOST_CLASS_MEANS)), dtype=np.float64)
    numbers: _Numbers = labels.astype(np.float64)[:, None]
    if target.task.is_regression:
        numbers /= float(numbers.std()) or 1.0
    return numbers


def _numeric(name: str, values: _Numbers, scale: bool) -> NumericColumn:
    if not scale:
        return NumericColumn(name=name)
    present = values[~np.isnan(values)]
    center, spread = (float(np.mean(present)), float(np.std(present))) if len(present) else (0.0, 1.0)
    return NumericColumn(name=name, center=center, scale=spread or 1.0, missing=0.0)


def _categorical(name: str, values: Categories, targets: _Numbers, options: EncodingOptions) -> Iterator[Column]:
    counts = values.counts()
    kept = sorted((values.names[index], index) for index in _kept(values, counts))
    if len(kept) <= options.one_hot_up_to:
        yield OneHotColumn(name=name, categories=tuple(text for text, _ in kept))
        return
    # The means come first: `_mean_positions` relies on it.
    for mean in _means(values, targets, options).T:
        yield LookupColumn(
            name=name, values={text: float(mean[index]) for text, index in kept}, unseen=0.0, missing=float(mean[-1])
        )
    shares = np.log10((counts + 1) / (len(values) + 1))
    yield LookupColumn(
        name=name,
        values={text: float(shares[index]) for text, index in kept},
        unseen=float(np.log10(1 / (len(values) + 1))),
        missing=float(shares[-1]),
    )


def _kept(values: Categories, counts: _Numbers) -> list[int]:
    """Indices of the texts in the encoder: those that rows have, or the most frequent of very many."""
    present: list[int] = np.flatnonzero(counts[:-1]).tolist()
    if len(present) <= MOST_TEXTS:
        return present
    return sorted(present, key=lambda index: (-counts[index], values.names[index]))[:MOST_TEXTS]


def _mean_positions(encoder: Encoder) -> Iterator[tuple[int, str]]:
    """Column of the first mean of each feature in the encoded matrix, and the feature."""
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
    unseen[[*_kept(values, values.counts()), -1]] = False
    return FoldMeans(name, position, values.names, np.where(unseen[:, None], 0.0, np.stack(tables)))


def _folds(start: int, stop: int) -> npt.NDArray[np.int8]:
    """The fold of each row between two positions, spread evenly over every stretch of rows; shape ``(stop - start,)``.

    Consecutive rows must not form a fold: if rows are sorted by label, or rates change with time, the means of a fold would
    reveal its labels.
    """
    # Multiples of the golden ratio, modulo 1, are evenly distributed over any stretch (Weyl, 1916).
    return (np.arange(start, stop) * 0.6180339887498949 % 1.0 * _FOLDS).astype(np.int8)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Rows and sums of targets by text; the last entry is for missing values.

    Attributes:
        counts: shape ``(texts + 1,)``.
        sums: shape ``(texts + 1, means)``.
    """

    counts: _Numbers
    sums: _Numbers

    @classmethod
    def of(cls, values: Categories, targets: _Numbers) -> _Sums:
        return cls(values.counts(), np.stack([values.counts(target) for target in targets.T], axis=1))

    @classmethod
    def together(cls, parts: list[_Sums]) -> _Sums:
        return cls(np.sum([part.counts for part in parts], axis=0), np.sum([part.sums for part in parts], axis=0))


def _means(values: Categories, targets: _Numbers, options: EncodingOptions) -> _Numbers:
    return _smoothed(_Sums.of(values, targets), options)


def _smoothed(by_text: _Sums, options: EncodingOptions) -> _Numbers:
    """Smoothed, centred means of every text; 0 for a text without rows; shape ``(texts + 1, means)``."""
    counts, sums = by_text.counts[:, None], by_text.sums
    rows, total = float(by_text.counts.sum()), sums.sum(axis=0)
    if options.target.task.is_regression:
        means = (sums - counts * (total / max(rows, 1.0))) / (counts + options.smoothing)
    else:
        overall = (total + 0.5) / (rows + 1)
        means = _logit((sums + options.smoothing * overall) / (counts + options.smoothing)) - _logit(overall)
    return np.where(counts > 0, means, 0.0)


def _logit(probability: _Numbers) -> _Numbers:
    return np.asarray(np.log(probability) - np.log1p(-probability), dtype=np.float64)
