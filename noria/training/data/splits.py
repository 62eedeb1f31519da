"""Train/validation splits: the latest rows in time, a stratified random sample, or whole groups.

`training.split` of a use case chooses. The three functions take the whole training set:

    rows      |--------------------- training ---------------------|-- final --|
    training  |------------- training -------------|- calibration -|             used by the final fits only
    training  |---- fold 1 ----|-- v1 --|                                        used by the search: rolling origins,
              |--------- fold 2 --------|-- v2 --|                               or parts drawn at random

So the search never sees the final slice. The newest fold of a search in time validates on the calibration slice:
hyperparameters may depend on it, the fits that are calibrated on it do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
"""Fewest training and validation rows: of each class, or in all for regression."""
SMALL_ROWS, SMALL_FOLDS = 5_000, 5
"""Random splits of at most this many rows use this many folds, unless the use case sets the number."""
TINY_ROWS, TINY_REPEATS = 1_000, 2
"""Folds of at most this many rows are drawn this many times: a single draw of few rows is noise."""
_PARTS = 5
_RANGES = 10
_LARGEST_SHARE = 4
"""A slice of time is at most one part in this many of the whole time range."""
_MICROSECOND = timedelta(microseconds=1)
_FINAL, _CALIBRATION, _SEARCH = 1, 2, 3


@dataclass(frozen=True)
class SplitPlan:
    """How rows are split.

    Attributes:
        by: time, stratified or group.
        group: categorical feature that names the group; None unless `by` is group.
        folds: folds of the search.
        folds_are_set: whether the use case sets `folds` itself, so that few rows do not change it.
        test_window: length of a slice of time.
        gap: time that a label takes to arrive; rows in it are used by neither side.
        test_share: share of rows held back by a random split.
        seed: of the draws.
        task: decides the strata and the fewest rows.
        classes: names of the classes; empty unless the task is multiclass.
    """

    by: SplitBy
    group: str | None
    folds: int
    folds_are_set: bool
    test_window: timedelta
    gap: timedelta
    test_share: float
    seed: int
    task: Task
    classes: tuple[str, ...]


def split_plan(use_case: UseCase) -> SplitPlan:
    """The split that a use case asks for."""
    training = use_case.training
    return SplitPlan(
        by=training.split.by,
        group=training.split.group,
        folds=training.split.folds,
        folds_are_set="folds" in training.split.model_fields_set,
        test_window=training.test_window,
        gap=use_case.label.available_after,
        test_share=training.test_share,
        seed=training.seed,
        task=use_case.task,
        classes=use_case.label.classes,
    )


def final_split(plan: SplitPlan, rows: TrainingSet) -> Fold:
    """The slice for the final evaluation, and the rows before or beside it.

    Args:
        plan: how to split.
        rows: the whole training set, in order of time.

    Raises:
        NotEnoughDataError: a part has too few rows, of a class or in all.
    """
    return _hold_back(plan, rows, _FINAL)


def calibration_split(plan: SplitPlan, rows: TrainingSet) -> Fold:
    """The slice that calibrates the evaluated model, cut off the training rows of `final_split` in the same way.

    Args:
        plan: how to split.
        rows: the whole training set, in order of time.

    Raises:
        NotEnoughDataError: a part has too few rows, of a class or in all.
    """
    return _hold_back(plan, final_split(plan, rows).training, _CALIBRATION)


def search_folds(plan: SplitPlan, rows: TrainingSet) -> tuple[Fold, ...]:
    """The folds of the search, inside the training rows of `final_split`, oldest first.

    In time these are rolling origins, `folds` of them. At random, a fold validates on a fifth of the rows (on one part of as
    many as there are folds, if those are more) and trains on the others; few rows use more folds.

    Args:
        plan: how to split.
        rows: the whole training set, in order of time.

    Raises:
        NotEnoughDataError: a part has too few rows, of a class or in all.
    """
    before = final_split(plan, rows).training
    if plan.by is SplitBy.TIME:
        return tuple(reversed(list(_rolling_origins(plan, before))))
    return tuple(_drawn_folds(plan, before))


def _hold_back(plan: SplitPlan, rows: TrainingSet, purpose: int) -> Fold:
    if plan.by is SplitBy.TIME:
        return _last_slice(plan, rows)
    parts = _draw(plan, rows, np.array([1 - plan.test_share, plan.test_share]), purpose)
    return _checked(plan, _fold(rows, parts == 1), "the rows held back at random")


def _rolling_origins(plan: SplitPlan, before: TrainingSet) -> Iterator[Fold]:
    for _ in range(plan.folds):
        fold = _last_slice(plan, before)
        yield fold
        before = before.between(None, fold.window.start)


def _drawn_folds(plan: SplitPlan, rows: TrainingSet) -> Iterator[Fold]:
    folds, parts = _fold_counts(plan, rows)
    for repeat in range(TINY_REPEATS if len(rows) <= TINY_ROWS else 1):
        of_row = _draw(plan, rows, np.full(parts, 1 / parts), _SEARCH + repeat)
        for part in range(folds):
            yield _checked(plan, _fold(rows, of_row == part), f"fold {part + 1} of the search")


def _fold_counts(plan: SplitPlan, rows: TrainingSet) -> tuple[int, int]:
    """Number of folds, and of parts: a fold validates on one part and trains on all others."""
    few = len(rows) <= SMALL_ROWS and not plan.folds_are_set
    folds = max(plan.folds, SMALL_FOLDS) if few else plan.folds
    most = int(_groups(plan, rows).max()) + 1 if plan.by is SplitBy.GROUP else max(folds, _PARTS)
    parts = min(max(folds, _PARTS), max(most, plan.folds, 2))
    return min(folds, parts), parts


def _draw(plan: SplitPlan, rows: TrainingSet, shares: npt.NDArray[np.float64], purpose: int) -> Ints:
    """The part of each row; every part has its share of every class (or range of numbers)."""
    _require_rows(rows)
    random = np.random.default_rng([plan.seed, purpose])
    strata = _strata(plan, rows)
    if plan.by is SplitBy.STRATIFIED or plan.group is None:
        return row_parts(strata, shares, random)
    groups = _groups(plan, rows)
    count = int(groups.max()) + 1
    if count < len(shares):
        raise NotEnoughDataError(
            f"{plan.group} has {count} groups among {len(rows)} labelled rows, and {len(shares)} parts are to be held "
            "apart: wait for more data, lower training.split.folds, or split by another feature"
        )
    return group_parts(groups, strata, shares, random)


def _groups(plan: SplitPlan, rows: TrainingSet) -> Ints:
    """The group of each row, numbered from 0; a missing value is a group as well."""
    codes = rows.categories(str(plan.group)).codes
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _strata(plan: SplitPlan, rows: TrainingSet) -> Ints:
    if not plan.task.is_regression:
        return rows.labels.astype(np.int64)
    edges = np.quantile(rows.labels, np.arange(1, _RANGES) / _RANGES)
    return np.searchsorted(edges, rows.labels, side="right").astype(np.int64)


def _fold(rows: TrainingSet, held_back: npt.NDArray[np.bool_]) -> Fold:
    validation = rows.take(np.flatnonzero(held_back))
    times = validation.times if len(validation) else rows.times
    window = Interval(_instant(int(times[0])), _instant(int(times[-1])) + _MICROSECOND)
    return Fold(rows.take(np.flatnonzero(~held_back)), validation, window)


def _last_slice(plan: SplitPlan, rows: TrainingSet) -> Fold:
    """The last slice of time, and the rows before it and before the gap.

    Rows whose labels were not known when the slice began are in neither part: a model that starts on that day could not have
    used them. Both the declared delay and the arrival time of each label count. The slice is at most a quarter of the whole
    time range.
    """
    _require_rows(rows)
    end = _instant(int(rows.times[-1])) + _MICROSECOND
    start = end - min(plan.test_window, max((end - _instant(int(rows.times[0]))) / _LARGEST_SHARE, _MICROSECOND))
    before = rows.between(None, start - plan.gap).labelled_by(start)
    fold = Fold(before, rows.between(start, end), Interval(start, end))
    return _checked(plan, fold, f"the slice {fold.window}")


def _require_rows(rows: TrainingSet) -> None:
    if not len(rows):
        raise NotEnoughDataError("the training set is empty: wait for more data")


def _checked(plan: SplitPlan, fold: Fold, where: str) -> Fold:
    """The fold, if both of its sides have enough rows."""
    least_before, least_in = LEAST_ROWS[plan.task]
    in_time = plan.by is SplitBy.TIME
    change = "training.test_window or training.split.folds" if in_time else "training.test_share"
    before = f"{'before' if in_time else 'beside'} {where}"
    for part, position, least in ((fold.training, before, least_before), (fold.validation, f"in {where}", least_in)):
        if shortage := _shortage(plan, part, least):
            raise NotEnoughDataError(
                f"{position} there are {len(part)} labelled rows, {shortage}: wait for more data, or change {change}"
            )
    return fold


def _shortage(plan: SplitPlan, rows: TrainingSet, least: int) -> str:
    """Shortages of the rows, in words; empty if they are enough."""
    if plan.task.is_multiclass:
        return _missing_classes(plan.classes, rows, least)
    if plan.task.is_regression:
        return "" if len(rows) >= least else f"and at least {least} are needed"
    positives = int(rows.labels.sum())
    if min(positives, len(rows) - positives) >= least:
        return ""
    return f"{positives} of them positive; at least {least} of each class are needed"


def _missing_classes(classes: tuple[str, ...], rows: TrainingSet, least: int) -> str:
    counts = np.bincount(rows.labels.astype(np.int64), minlength=len(classes))
    rare = [f"{count} of {name}" for name, count in zip(classes, counts, strict=True) if count < least]
    return f"{', '.join(rare)}; at least {least} of each class are needed" if rare else ""


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
