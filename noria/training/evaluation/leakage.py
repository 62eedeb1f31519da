"""Leakage warnings: features that alone predict too well, lost their power in the latest rows, or are filled in later.

The power of a feature alone is measured without a model: mean labels of its values (numbers in bins) are taken on the older
training rows and used as scores of newer rows. Power is ``2 * ROC AUC - 1`` (mean over classes) or R²: 0 for nothing and 1
for everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.lifecycle.evaluation import LeakageWarning
from noria.core.metrics import binary, multiclass, regression
from noria.core.model.decision import DecisionPolicy, Labels, Scores
from noria.core.use_case import Features, Task
from noria.training.data.dataset import Fold
from noria.training.data.sampling import even_positions
from noria.training.evaluation.scored_slice import ScoredSlice, texts

MOST_ROWS = 20_000
TOO_GOOD = 0.9
"""A single feature rarely has this power (ROC AUC 0.95, R² 0.9) without leakage."""
NEARLY_ALL = 0.95
"""Share of the model's power that one feature should not have alone..."""
STRONG = 0.4
"""... if the model has at least this power (ROC AUC 0.7, R² 0.4)."""
VANISHED = 1 / 3
"""Power in the latest rows, as a share of the power before, that counts as lost."""
_NOTICEABLE = 0.2
_BINS = 20
_SMOOTHING = 20.0
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Alone:
    """Power of one feature by itself.

    Attributes:
        before: power on the newest third of the training rows.
        now: power on the evaluated rows.
        filled_before: share of training rows that have a value.
        filled_now: share of evaluated rows that have a value.
    """

    before: float
    now: float
    filled_before: float
    filled_now: float


@dataclass(frozen=True, eq=False)
class _Codes:
    """A feature as numbers of its values (or bins).

    Attributes:
        before: of the training rows; shape ``(training rows,)``.
        now: of the evaluated rows; shape ``(evaluated rows,)``.
        filled_before: share of training rows that have a value.
        filled_now: share of evaluated rows that have a value.
    """

    before: Codes
    now: Codes
    filled_before: float
    filled_now: float

    @property
    def count(self) -> int:
        return int(max(self.before.max(), self.now.max())) + 1


def leakage_warnings(features: Features, fold: Fold, outcome: ScoredSlice) -> tuple[LeakageWarning, ...]:
    """Features that may leak the label, each with the reason.

    Args:
        features: names and kinds.
        fold: the evaluated rows, and the rows that the evaluated model was fitted to.
        outcome: scores of the evaluated rows.
    """
    chosen = even_positions(len(fold.validation), MOST_ROWS)
    training, evaluated = fold.training.take(even_positions(len(fold.training), MOST_ROWS)), fold.validation.take(chosen)
    if min(len(training), len(evaluated)) == 0:
        return ()
    policy = outcome.policy
    model = _power(policy.task, evaluated.labels, outcome.scores[chosen])
    sample = Fold(training, evaluated, fold.window)
    reasons = ((name, _reason(policy.task, _alone(policy, features, name, sample), model)) for name in features.names)
    return tuple(LeakageWarning(feature=name, reason=reason) for name, reason in reasons if reason)


def _reason(task: Task, alone: _Alone, model: float) -> str:
    power = _in_words(task, alone.now)
    if alone.now >= TOO_GOOD:
        return f"alone it gives {power}: is it known before the prediction is made?"
    if model >= STRONG and alone.now >= NEARLY_ALL * model:
        return f"alone it gives {power}, nearly as much as the whole model ({_in_words(task, model)}): is it known in time?"
    if alone.before >= _NOTICEABLE and alone.now < VANISHED * alone.before:
        before = _in_words(task, alone.before)
        return f"alone it gave {before} before the judged rows and {power} on them: its meaning has changed"
    if alone.filled_before >= 0.5 and alone.filled_now < 0.5 * alone.filled_before:
        shares = f"known for {alone.filled_before:.0%} of earlier rows and {alone.filled_now:.0%} of the judged ones"
        return f"{shares}: is it filled in afterwards?"
    return ""


def _in_words(task: Task, power: float) -> str:
    return f"R² {power:.2f}" if task.is_regression else f"ROC AUC {(power + 1) / 2:.2f}"


def _alone(policy: DecisionPolicy, features: Features, name: str, sample: Fold) -> _Alone:
    training, evaluated = sample.training, sample.validation
    cut = 2 * len(training) // 3
    encode = _numeric_codes if name in features.numeric else _text_codes
    codes = encode(training.columns[name], evaluated.columns[name], cut)
    means = _mean_labels(policy, codes.before[:cut], training.labels[:cut], codes.count)
    return _Alone(
        _power(policy.task, training.labels[cut:], means[codes.before[cut:]]),
        _power(policy.task, evaluated.labels, means[codes.now]),
        codes.filled_before,
        codes.filled_now,
    )


def _numeric_codes(earlier: Any, later: Any, cut: int) -> _Codes:
    """Bin of every value, the last one for missing values; bins hold equally many of the first `cut` rows."""
    before, now = np.asarray(earlier, dtype=np.float64), np.asarray(later, dtype=np.float64)
    present = before[:cut][~np.isnan(before[:cut])]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(present) else np.empty(0)

    def code(part: npt.NDArray[np.float64]) -> Codes:
        return np.where(np.isnan(part), len(edges) + 1, np.searchsorted(edges, part, side="left"))

    return _Codes(code(before), code(now), float(np.mean(~np.isnan(before))), float(np.mean(~np.isnan(now))))


def _text_codes(earlier: Any, later: Any, cut: int) -> _Codes:
    """Number of every text, the last one for texts that the first `cut` rows do not have."""
    before, now = texts(earlier), texts(later)
    names = np.unique(before[:cut])

    def code(part: npt.NDArray[np.str_]) -> Codes:
        positions = np.searchsorted(names, part)
        same = names[np.minimum(positions, len(names) - 1)] == part if len(names) else np.zeros(len(part), dtype=np.bool_)
        codes: Codes = np.where(same, positions, len(names))
        return codes

    missing = [float(np.mean([value is None for value in part])) for part in (earlier, later)]
    return _Codes(code(before), code(now), 1 - missing[0], 1 - missing[1])


def _mean_labels(policy: DecisionPolicy, codes: Codes, labels: Labels, values: int) -> Scores:
    """Mean label of every value, shrunk to the overall mean; shape ``(values,)``, for multiclass ``(values, classes)``."""
    several = policy.task.is_multiclass
    columns = np.eye(len(policy.classes))[labels] if several else labels.astype(np.float64)[:, None]
    rows = np.bincount(codes, minlength=values)[:, None]
    sums = np.stack([np.bincount(codes, weights=column, minlength=values) for column in columns.T], axis=1)
    means: Scores = (sums + _SMOOTHING * columns.mean(axis=0)) / (rows + _SMOOTHING)
    return means if several else means[:, 0]


def _power(task: Task, labels: Labels, scores: Scores) -> float:
    if task.is_regression:
        power = regression.r2(labels, scores)
    else:
        power = 2 * (multiclass.roc_auc if task.is_multiclass else binary.roc_auc)(labels, scores) - 1
    return 0.0 if np.isnan(power) else power
