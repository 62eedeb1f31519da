"""The prediction target of a model."""

from __future__ import annotations

from dataclasses import dataclass

from noria.core.model.decision import best_quantile
from noria.core.use_case import DEFAULT_TASK, Task, UnitValue, UseCase

_EDGE = 0.01


@dataclass(frozen=True)
class PredictionTarget:
    """The prediction target.

    Attributes:
        task: binary classification, multiclass or regression.
        classes: multiclass: number of classes.
        quantile: regression: the quantile that costs least, see `cheapest_quantile`.
        anchor: regression: an expression over features; the model predicts the ratio of label and anchor. Empty for the
            label itself.
    """

    task: Task = DEFAULT_TASK
    classes: int = 2
    quantile: float = 0.5
    anchor: str = ""

    @property
    def outputs(self) -> int:
        """Number of margins per row: one per class for multiclass, else one."""
        return self.classes if self.task.is_multiclass else 1


BINARY = PredictionTarget()


def cheapest_quantile(value: UnitValue) -> float:
    """The quantile that costs least, at least 0.01 and at most 0.99: beyond, the last rows alone would decide."""
    return min(max(best_quantile(value), _EDGE), 1 - _EDGE)


def target_of(use_case: UseCase) -> PredictionTarget:
    """The prediction target of a use case."""
    value = use_case.business.value
    return PredictionTarget(
        task=use_case.task,
        classes=len(use_case.label.classes) if use_case.task.is_multiclass else 2,
        quantile=cheapest_quantile(value) if isinstance(value, UnitValue) else 0.5,
        anchor=use_case.training.anchor or "",
    )
