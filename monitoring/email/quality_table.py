"""The metrics that an owner is shown, by task, as a table: now, as promised, and of the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitoring.assessment.results import DriftReport
from monitoring.email.wording import figure, money
from noria.core.use_case import Task

_UNKNOWN = "–"


@dataclass(frozen=True)
class QualityLine:
    """One metric now, as promised, and of the rule."""

    name: str
    now: str
    promised: str
    rule: str


@dataclass(frozen=True)
class _Shown:
    name: str
    metric: str
    words: Callable[[float], str]
    of_rule: bool = True
    """Whether it says anything about a rule, which gives no probabilities."""


def _ratio(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return figure(value, signed=True)


_SHOWN: Mapping[Task, tuple[_Shown, ...]] = {
    Task.BINARY_CLASSIFICATION: (
        _Shown("ROC AUC", "roc_auc", _ratio),
        _Shown("Precision", "precision", _ratio),
        _Shown("Recall", "recall", _ratio),
    ),
    Task.MULTICLASS: (
        _Shown("ROC AUC", "roc_auc", _ratio),
        _Shown("Log loss", "log_loss", _ratio, of_rule=False),
        _Shown("Decided right", "accuracy", _share),
        _Shown("Macro F1", "macro_f1", _ratio),
    ),
    Task.REGRESSION: (
        _Shown("Error", "wape", _share),
        _Shown("Mean error", "mae", figure),
        _Shown("Bias (+ too high)", "bias", _signed),
    ),
}


def quality_lines(assessment: DriftReport) -> tuple[QualityLine, ...]:
    """One line per metric that the labelled rows could give, money per 1,000 decisions last."""
    found, currency = assessment.performance, assessment.money.currency
    shown = (*_SHOWN[assessment.task], _Shown(f"{currency} per 1,000", "value", _amount))
    return tuple(
        QualityLine(
            line.name,
            _cell(line, found.metrics),
            _cell(line, found.promised),
            _cell(line, found.baseline) if line.of_rule else _UNKNOWN,
        )
        for line in shown
        if line.metric in found.metrics
    )


def _cell(line: _Shown, metrics: Mapping[str, float]) -> str:
    value = metrics.get(line.metric)
    return _UNKNOWN if value is None else line.words(value)


def _amount(value: float) -> str:
    return money(value, "").strip()
