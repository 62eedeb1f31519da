"""How rows are held back to judge on: the latest in time, a share of every class at random, or whole groups.

`training.split` of a use case says which. All three functions take the whole training set:

    rows      |--------------------- training ---------------------|-- final --|
    training  |------------- training -------------|- calibration -|             touched by the fit alone
    training  |---- fold 1 ----|-- v1 --|                                        what the search sees: rolling origins,
              |--------- fold 2 --------|-- v2 --|                               or parts drawn at random

So the final slice is never searched on. The calibration slice is judged on by the newest fold of a search in time as well:
hyperparameters may know it, the fits that are calibrated on it do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from noria.core.base.errors import NotEnoughDataError
from noria.core.base.interval import Interval
from noria.core.use_case import SplitBy, Task, UseCase
from noria.training.data.dataset import Fold, TrainingSet
from noria.training.data.random_split import group_parts, row_parts

Ints = npt.NDArray[np.int64]
LEAST_ROWS = {Task.BINARY_CLASSIFICATION: (20, 20), Task.MULTICLASS: (10, 2), Task.REGRESSION: (40, 20)}
"""Fewest rows to learn from and to judge on: of each class, or in all for a number."""
SMALL_ROWS, SMALL_FOLDS = 5_000, 5
"""Up to so many rows drawn at random are searched on so many folds, unless the use case says how many."""
TINY_ROWS, TINY_REPEATS = 1_000, 2
"""Up to so many rows the folds are drawn that often: one drawing says little."""
_PARTS = 5
_RANGES = 10
_LARGEST_SHARE = 4
"""A slice of time takes at most one part in this many of the time there is."""
_MICROSECOND = timedelta(microseconds=1)
_FINAL, _CALIBRATION, _SEARCH = 1, 2, 3


def final_split(use_case: UseCase, rows: TrainingSet) -> Fold:
    """What a model is judged on, once, and what lies before or beside it.

    Args:
        use_case: says how rows are held back, and how many.
        rows: the whole training set, in order of time.

    Raises:
        NotEnoughDataError: a part has too few rows, of a class or in all.
    """
    return _hold_back(use_case, rows, _FINAL)


def calibration_split(use_case: UseCase, rows: TrainingSet) -> Fold:
    """What calibrates the model that is judged on the final slice: cut off the training rows of `final_split` the same way.

    Args:
        use_case: says how rows are held back, and how many.
        rows: the whole training set, in order of time.

    Raises:
        NotEnoughDataError: a part has too few rows, of a class or in all.
    """
    return _hold_back(use_case, final_split(use_case, rows).training, _CALIBRATION)


def search_folds(use_case: UseCase, rows: TrainingSet) -> tuple[Fold, ...]:
    """What the search learns from and judges on, inside the training rows of `final_split`, the oldest first.

    In time these are rolling origins, `training.split.folds` of them. At random, a fold judges on a fifth of the rows (or on
    one part of as many as there are folds, where those are more) and learns from all others; few rows take more folds.

    Args:
        use_case: says how rows are held back, and how many.
        rows: the whole training set, in order of time.

    Raises:
        NotEnoughDataError: a part has too few rows, of a class or in all.
    """
    before = final_split(use_case, rows).training
    if use_case.training.split.by is SplitBy.TIME:
        return tuple(reversed(list(_rolling_origins(use_case, before))))
    return tuple(_drawn_folds(use_case, before))


def _hold_back(use_case: UseCase, rows: TrainingSet, purpose: int) -> Fold:
    if use_case.training.split.by is SplitBy.TIME:
        return _last_slice(use_case, rows)
    share = use_case.training.test_share
    parts = _draw(use_case, rows, np.array([1 - share, share]), purpose)
    return _checked(use_case, _fold(rows, parts == 1), "the rows held back at random")


def _rolling_origins(use_case: UseCase, before: TrainingSet) -> Iterator[Fold]:
    for _ in range(use_case.training.split.folds):
        fold = _last_slice(use_case, before)
        yield fold
        before = before.between(None, fold.window.start)


def _drawn_folds(use_case: UseCase, rows: TrainingSet) -> Iterator[Fold]:
    folds, parts = _how_many(use_case, rows)
    for repeat in range(TINY_REPEATS if len(rows) <= TINY_ROWS else 1):
        of_row = _draw(use_case, rows, np.full(parts, 1 / parts), _SEARCH + repeat)
        for part in range(folds):
            yield _checked(use_case, _fold(rows, of_row == part), f"fold {part + 1} of the search")


def _how_many(use_case: UseCase, rows: TrainingSet) -> tuple[int, int]:
    """Folds of the search, and parts that rows are drawn into: a fold judges on one part and learns from all others."""
    split = use_case.training.split
    few = len(rows) <= SMALL_ROWS and "folds" not in split.model_fields_set
    folds = max(split.folds, SMALL_FOLDS) if few else split.folds
    most = int(_groups(use_case, rows).max()) + 1 if split.by is SplitBy.GROUP else max(folds, _PARTS)
    parts = min(max(folds, _PARTS), max(most, split.folds, 2))
    return min(folds, parts), parts


def _draw(use_case: UseCase, rows: TrainingSet, shares: npt.NDArray[np.float64], purpose: int) -> Ints:
    """The part of each row, drawn so that every class (or range of numbers) is in every part by its share."""
    _require_rows(rows)
    random = np.random.default_rng([use_case.training.seed, purpose])
    strata, group = _strata(use_case, rows), use_case.training.split.group
    if use_case.training.split.by is SplitBy.STRATIFIED or group is None:
        return row_parts(strata, shares, random)
    groups = _groups(use_case, rows)
    found = int(groups.max()) + 1
    if found < len(shares):
        raise NotEnoughDataError(
            f"{group} has {found} groups among {len(rows)} labelled rows, and {len(shares)} parts are to be held apart: "
            "wait for more data, lower training.split.folds, or split by another feature"
        )
    return group_parts(groups, strata, shares, random)


def _groups(use_case: UseCase, rows: TrainingSet) -> Ints:
    """The group of each row, numbered from 0; missing is a group as well."""
    codes = rows.categories(str(use_case.training.split.group)).codes
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _strata(use_case: UseCase, rows: TrainingSet) -> Ints:
    if use_case.task is not Task.REGRESSION:
        return rows.labels.astype(np.int64)
    edges = np.quantile(rows.labels, np.arange(1, _RANGES) / _RANGES)
    return np.searchsorted(edges, rows.labels, side="right").astype(np.int64)


def _fold(rows: TrainingSet, held_back: npt.NDArray[np.bool_]) -> Fold:
    validation = rows.take(np.flatnonzero(held_back))
    times = validation.times if len(validation) else rows.times
    window = Interval(_instant(int(times[0])), _instant(int(times[-1])) + _MICROSECOND)
    return Fold(rows.take(np.flatnonzero(~held_back)), validation, window)


def _last_slice(use_case: UseCase, rows: TrainingSet) -> Fold:
    """The last slice of time, and what lies before it and the gap.

    Rows whose labels were not known when the slice began are in neither part: a model that starts on that day could not have
    learnt from them. Both the delay that the use case promises and the time at which each label came count. The slice is
    never more than a quarter of the time there is.
    """
    _require_rows(rows)
    window, gap = use_case.training.test_window, use_case.label.available_after
    end = _instant(int(rows.times[-1])) + _MICROSECOND
    start = end - min(window, max((end - _instant(int(rows.times[0]))) / _LARGEST_SHARE, _MICROSECOND))
    before = rows.between(None, start - gap).labelled_by(start)
    fold = Fold(before, rows.between(start, end), Interval(start, end))
    return _checked(use_case, fold, f"the slice {fold.window}")


def _require_rows(rows: TrainingSet) -> None:
    if not len(rows):
        raise NotEnoughDataError("the training set is empty: wait for more data")


def _checked(use_case: UseCase, fold: Fold, where: str) -> Fold:
    least_before, least_in = LEAST_ROWS[use_case.task]
    in_time = use_case.training.split.by is SplitBy.TIME
    for part, place, least in (
        (fold.training, f"{'before' if in_time else 'beside'} {where}", least_before),
        (fold.validation, f"in {where}", least_in),
    ):
        if lack := _LACKS[use_case.task](use_case, part, least):
            change = "training.test_window or training.split.folds" if in_time else "training.test_share"
            raise NotEnoughDataError(
                f"{place} there are {len(part)} labelled rows, {lack}: wait for more data, or change {change}"
            )
    return fold


def _lacks_classes(use_case: UseCase, rows: TrainingSet, least: int) -> str:
    classes = use_case.label.classes
    counts = np.bincount(rows.labels.astype(np.int64), minlength=len(classes))
    found = [f"{count} of {name}" for name, count in zip(classes, counts, strict=True) if count < least]
    return f"{', '.join(found)}; at least {least} of each class are needed" if found else ""


def _lacks_either(_use_case: UseCase, rows: TrainingSet, least: int) -> str:
    positives = int(rows.labels.sum())
    if min(positives, len(rows) - positives) >= least:
        return ""
    return f"{positives} of them positive; at least {least} of each class are needed"


def _lacks_rows(_use_case: UseCase, rows: TrainingSet, least: int) -> str:
    return "" if len(rows) >= least else f"and at least {least} are needed"


_LACKS: dict[Task, Callable[[UseCase, TrainingSet, int], str]] = {
    Task.BINARY_CLASSIFICATION: _lacks_either,
    Task.MULTICLASS: _lacks_classes,
    Task.REGRESSION: _lacks_rows,
}


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
