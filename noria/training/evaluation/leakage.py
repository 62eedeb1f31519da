"""Features that may know the answer: too good alone, powerless in the latest rows, or filled in only afterwards.

How much a feature says alone is measured without any model: mean labels of its values (numbers in bins) are learnt on the
older training rows and used as scores on newer rows. Its power is ``2 * ROC AUC - 1`` (mean over classes) or R², 0 for
nothing and 1 for everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import LeakageWarning
from noria.core.metrics import binary, multiclass, regression
from noria.core.model.decision import Labels, Scores
from noria.core.use_case import Task, UseCase
from noria.training.data.dataset import Fold, TrainingSet
from noria.training.evaluation.scored_slice import ScoredSlice, evenly, texts

MOST_ROWS = 20_000
TOO_GOOD = 0.9
"""A single feature with this power (ROC AUC 0.95, R² 0.9) has seldom come by it honestly."""
NEARLY_ALL = 0.95
"""Share of the model's power that one feature should not have alone..."""
STRONG = 0.4
"""... where the model has at least this much (ROC AUC 0.7, R² 0.4)."""
VANISHED = 1 / 3
"""Power in the latest rows, as a share of the power before, that counts as gone."""
_NOTICEABLE = 0.2
_BINS = 20
_SMOOTHING = 20.0
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Alone:
    """What one feature says by itself."""

    feature: str
    before: float
    """Power on the newest third of the training rows."""
    now: float
    """Power on the judged rows."""
    known_before: float
    """Share of training rows that have a value."""
    known_now: float


def suspects(use_case: UseCase, fold: Fold, outcome: ScoredSlice) -> tuple[LeakageWarning, ...]:
    """Features that an honest look should go to, each with the reason."""
    training = fold.training.take(evenly(len(fold.training), MOST_ROWS))
    judged = fold.validation.take(evenly(len(fold.validation), MOST_ROWS))
    if min(len(training), len(judged)) == 0:
        return ()
    model = _power(use_case.task, judged.labels, outcome.scores[evenly(len(fold.validation), MOST_ROWS)])
    found = (
        (name, _reason(use_case.task, _alone(use_case, name, training, judged), model)) for name in use_case.features.names
    )
    return tuple(LeakageWarning(feature=name, reason=reason) for name, reason in found if reason)


def _reason(task: Task, alone: _Alone, model: float) -> str:
    said = _said(task, alone.now)
    if alone.now >= TOO_GOOD:
        return f"alone it gives {said}: is it known before the prediction is made?"
    if model >= STRONG and alone.now >= NEARLY_ALL * model:
        return f"alone it gives {said}, nearly as much as the whole model ({_said(task, model)}): is it known in time?"
    if alone.before >= _NOTICEABLE and alone.now < VANISHED * alone.before:
        return (
            f"alone it gave {_said(task, alone.before)} before the judged rows and {said} on them: its meaning has changed"
        )
    if alone.known_before >= 0.5 and alone.known_now < 0.5 * alone.known_before:
        known = f"known for {alone.known_before:.0%} of earlier rows and {alone.known_now:.0%} of the judged ones"
        return f"{known}: is it filled in afterwards?"
    return ""


def _said(task: Task, power: float) -> str:
    return f"R² {power:.2f}" if task is Task.REGRESSION else f"ROC AUC {(power + 1) / 2:.2f}"


def _alone(use_case: UseCase, name: str, training: TrainingSet, judged: TrainingSet) -> _Alone:
    numeric = name in use_case.features.numeric
    cut = 2 * len(training) // 3
    learnt, judged_codes, known_before, known_now = (_numeric_codes if numeric else _text_codes)(
        training.columns[name], judged.columns[name], cut
    )
    values = _mean_labels(use_case, learnt[:cut], training.labels[:cut], int(max(learnt.max(), judged_codes.max())) + 1)
    return _Alone(
        name,
        _power(use_case.task, training.labels[cut:], values[learnt[cut:]]),
        _power(use_case.task, judged.labels, values[judged_codes]),
        known_before,
        known_now,
    )


def _numeric_codes(earlier: Any, later: Any, cut: int) -> tuple[Codes, Codes, float, float]:
    """Number of the bin of every value, the last one for missing values; bins hold as many rows each."""
    before, now = np.asarray(earlier, dtype=np.float64), np.asarray(later, dtype=np.float64)
    known = before[:cut][~np.isnan(before[:cut])]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
    codes = (np.where(np.isnan(part), len(edges) + 1, np.searchsorted(edges, part, side="left")) for part in (before, now))
    first, second = codes
    return first, second, float(np.mean(~np.isnan(before))), float(np.mean(~np.isnan(now)))


def _text_codes(earlier: Any, later: Any, cut: int) -> tuple[Codes, Codes, float, float]:
    """Number of every text, the last one for texts that the older rows do not have."""
    before, now = texts(earlier), texts(later)
    names = np.unique(before[:cut])

    def code(part: npt.NDArray[np.str_]) -> Codes:
        places = np.searchsorted(names, part)
        found = names[np.minimum(places, len(names) - 1)] == part if len(names) else np.zeros(len(part), dtype=np.bool_)
        codes: Codes = np.where(found, places, len(names))
        return codes

    absent = [float(np.mean([value is None for value in part])) for part in (earlier, later)]
    return code(before), code(now), 1 - absent[0], 1 - absent[1]


def _mean_labels(use_case: UseCase, codes: Codes, labels: Labels, values: int) -> Scores:
    """Mean label of every value, drawn towards the overall mean; of classes the share of each, ``(values, classes)``."""
    columns = labels.astype(np.float64)[:, None]
    if use_case.task is Task.MULTICLASS:
        columns = np.eye(len(use_case.label.classes))[labels]
    rows = np.bincount(codes, minlength=values)[:, None]
    sums = np.stack([np.bincount(codes, weights=column, minlength=values) for column in columns.T], axis=1)
    means: Scores = (sums + _SMOOTHING * columns.mean(axis=0)) / (rows + _SMOOTHING)
    return means if use_case.task is Task.MULTICLASS else means[:, 0]


def _power(task: Task, labels: Labels, scores: Scores) -> float:
    if task is Task.REGRESSION:
        power = regression.r2(labels, scores)
    else:
        power = 2 * (multiclass.roc_auc if task is Task.MULTICLASS else binary.roc_auc)(labels, scores) - 1
    return 0.0 if np.isnan(power) else power
