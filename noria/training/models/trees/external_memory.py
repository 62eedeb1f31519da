"""Encoded rows that are never in memory as a whole: XGBoost asks for them a batch at a time, and keeps bins.

A bin takes one to four bytes where a value takes eight, so memory grows by bins, labels and gradients alone. The encoder is
fitted one column at a time, exactly as on rows in memory, and a batch is encoded as the same rows in memory are, to the last
bit. XGBoost's bins are not: it merges one sketch of quantiles per batch instead of making one of all rows. So a model from
batches is another one than that of the same rows in memory, as good within noise; the same file gives the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import Matrix
from noria.training.data.dataset import TrainingSet
from noria.training.data.encoding import EncodingOptions, FoldMeans, encode, out_of_fold
from noria.training.data.parquet_columns import StoredColumns
from noria.training.models.base.estimator import FitContext, Params

if TYPE_CHECKING:
    from xgboost import QuantileDMatrix

BATCH_ROWS = 262_144
"""Four row groups of a snapshot."""


@dataclass(frozen=True, eq=False)
class EncodedBatches:
    """Rows of a training set, encoded a batch at a time; the means of categories are those to train with, out of fold.

    Attributes:
        encoder: fitted to the rows.
        rows: what is encoded.
        means: what the labels of other rows say of every category.
        size: rows of a batch.
    """

    encoder: Encoder
    rows: TrainingSet
    means: tuple[FoldMeans, ...]
    size: int = BATCH_ROWS

    @classmethod
    def of(cls, encoder: Encoder, rows: TrainingSet, options: EncodingOptions, size: int = BATCH_ROWS) -> EncodedBatches:
        """What `encode_for_training` would give."""
        return cls(encoder, rows, out_of_fold(encoder, rows, options), size)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Which rows each batch has."""
        return tuple(slice(start, min(start + self.size, len(self))) for start in range(0, len(self), self.size))

    def part(self, part: slice) -> TrainingSet:
        """The rows of a batch, still on disk if they were; small enough to be sent to another machine."""
        columns = self.rows.columns
        if isinstance(columns, StoredColumns):
            return TrainingSet(columns.part(part), self.rows.labels[part], self.rows.times[part])
        return self.rows.take(np.arange(part.start, part.stop))

    def batch(self, part: slice) -> Matrix:
        """The encoded rows of a batch."""
        return encoded_part(self.encoder, self.part(part), self.means, part.start)


def encoded_part(encoder: Encoder, rows: TrainingSet, means: tuple[FoldMeans, ...], start: int) -> Matrix:
    """Rows encoded to train with; those on disk are read.

    Args:
        encoder: fitted to all rows.
        rows: some of them, one after another.
        means: what the labels of other rows say of every category.
        start: position of the first row among all of them.
    """
    if isinstance(rows.columns, StoredColumns):
        rows = replace(rows, columns=rows.columns.loaded())
    matrix = encode(encoder, rows)
    for one in means:
        one.write(matrix, rows.categories(one.name), start)
    return matrix


@runtime_checkable
class FitsBatches(Protocol):
    """A kind of model that can do with rows it never sees as a whole."""

    def fit_batches(self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext) -> Any:
        """Fit an estimator; the same arguments give the same estimator, except on a cluster.

        Raises:
            SettingsError: `context.cluster` names a cluster that does not answer.
        """
        ...


@dataclass(frozen=True, eq=False)
class RowMetaInfo:
    """Meta information of rows for XGBoost: labels, weights, base margin.

    Attributes:
        labels: as XGBoost takes them; shape ``(rows,)``.
        weights: of rows, shape ``(rows,)``; None where all weigh the same.
        start: margin where the first tree begins; shape ``(outputs,)``.
    """

    labels: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64] | None
    start: npt.NDArray[np.float64]

    def of(self, part: slice) -> dict[str, Any]:
        """Those of a part, by the names that XGBoost gives them."""
        labels = self.labels[part]
        return {
            "label": labels,
            "weight": None if self.weights is None else self.weights[part],
            "base_margin": np.tile(self.start, (len(labels), 1)),
        }


def binned(batches: EncodedBatches, facts: RowMetaInfo, *, max_bin: int, threads: int) -> QuantileDMatrix:
    """The rows as bins; batches are encoded four times over, which XGBoost needs to find the bins and fill them."""
    from xgboost import DataIter, QuantileDMatrix

    class Batches(DataIter):  # type: ignore[misc]  # XGBoost is not checked
        """Hands XGBoost one batch after another."""

        def __init__(self) -> None:
            self._parts: Iterator[slice] = iter(batches.slices)
            super().__init__()

        def reset(self) -> None:
            """Begin again."""
            self._parts = iter(batches.slices)

        def next(self, input_data: Callable[..., None]) -> bool:
            """Hand over the next batch, if there is one."""
            part = next(self._parts, None)
            if part is not None:
                input_data(data=batches.batch(part), **facts.of(part))
            return part is not None

    return QuantileDMatrix(Batches(), max_bin=max_bin, missing=np.nan, nthread=threads)


def is_stored(rows: TrainingSet) -> bool:
    """Whether the rows are too many to be in memory."""
    return isinstance(rows.columns, StoredColumns)
