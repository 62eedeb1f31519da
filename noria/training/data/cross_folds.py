"""Cross-fitting: each part of the rows is held out once, and predicted by what is fitted to the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
FOLDS = 5


def cross_folds(rows: int, folds: int = FOLDS) -> Iterator[tuple[Mask, Mask]]:
    """For each fold the rows to fit on and the rows held out; masks of shape ``(rows,)``.

    Rows are dealt to the folds in turn, one by one.
    """
    fold_of_row = np.arange(rows) % folds
    for fold in range(folds):
        held_out = fold_of_row == fold
        yield ~held_out, held_out
