"""Sampling of very many rows: hyperparameters are searched on a sample, the model is fitted to all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.training.data.dataset import TrainingSet


@dataclass(frozen=True)
class Sampling:
    """When a search uses a sample, and how large it is.

    Attributes:
        many_rows: fewest rows of a training set that is sampled.
        sample_rows: rows of the sample.
    """

    many_rows: int = 200_000
    sample_rows: int = 100_000


DEFAULT_SAMPLING = Sampling()


def even_positions(rows: int, most: int) -> npt.NDArray[np.intp]:
    """Positions of at most `most` rows, evenly spread over all; the same every time; shape ``(min(rows, most),)``."""
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, most)).astype(np.intp))


def even_sample(rows: TrainingSet, most: int) -> TrainingSet:
    """The rows, or at most `most` of them, evenly spread over time."""
    return rows if len(rows) <= most else rows.take(even_positions(len(rows), most))


def sampled(rows: TrainingSet, seed: int, sampling: Sampling) -> TrainingSet:
    """The rows, or for very many a sample of them: one row drawn at random from each of equally long stretches.

    Every stretch of time keeps its share, so folds are cut at the same times as on all rows, to within a row. The search on
    a sample ends with a final on all rows (`noria.training.search.selection`); docs/adr/0013-search.md gives the figures.

    Args:
        rows: the whole training set, in order of time.
        seed: of the draws.
        sampling: when to sample, and how many rows.
    """
    if len(rows) < sampling.many_rows:
        return rows
    count = sampling.sample_rows
    edges = np.linspace(0, len(rows), count + 1)
    positions = edges[:-1] + np.random.default_rng([seed, len(rows)]).random(count) * np.diff(edges)
    return rows.take(np.minimum(positions.astype(np.intp), len(rows) - 1))
