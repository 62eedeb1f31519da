"""What is predicted, as far as a kind of model must know."""

from __future__ import annotations

from dataclasses import dataclass

from noria.core.model.decision import best_quantile
from noria.core.use_case import Task, UnitValue, UseCase

_EDGE = 0.01


@dataclass(frozen=True)
class PredictionTarget:
    """What is predicted.

    Attributes:
        task: yes or no, one of several classes, or a number.
        classes: multiclass: how many.
        quantile: regression: the quantile that costs least (`noria.core.model.decision.best_quantile`), at least 0.01 and at
            most 0.99: where one way to be wrong costs nothing, the last rows at that end would decide alone.
        anchor: regression: an expression over features, of which the number is predicted as a multiple; empty for the number
            itself.
    """

    task: Task = Task.BINARY_CLASSIFICATION
    classes: int = 2
    quantile: float = 0.5
    anchor: str = ""

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for a row before they become a score: one per class, else one."""
        return self.classes if self.task is Task.MULTICLASS else 1


BINARY = PredictionTarget()


def target_of(use_case: UseCase) -> PredictionTarget:
    """The goal of a use case."""
    value = use_case.business.value
    return PredictionTarget(
        task=use_case.task,
        classes=len(use_case.label.classes) if use_case.task is Task.MULTICLASS else 2,
        quantile=min(max(best_quantile(value), _EDGE), 1 - _EDGE) if isinstance(value, UnitValue) else 0.5,
        anchor=use_case.training.anchor or "",
    )
