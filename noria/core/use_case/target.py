"""The prediction target: task and label."""

from __future__ import annotations

from enum import StrEnum

from noria.core.use_case.fields import Duration, Frozen, Name


class Task(StrEnum):
    """The kind of prediction."""

    BINARY_CLASSIFICATION = "binary_classification"
    """Yes or no."""
    MULTICLASS = "multiclass"
    """One of several classes."""
    REGRESSION = "regression"
    """A number."""

    @property
    def is_binary(self) -> bool:
        """Whether scores are probabilities of yes, and a threshold decides.

        Example:
            >>> [task.value for task in Task if task.is_binary]
            ['binary_classification']
        """
        return self is Task.BINARY_CLASSIFICATION

    @property
    def is_multiclass(self) -> bool:
        """Whether scores have a column for each class."""
        return self is Task.MULTICLASS

    @property
    def is_regression(self) -> bool:
        """Whether scores are numbers in the label's unit, and errors cost money."""
        return self is Task.REGRESSION


DEFAULT_TASK = Task.BINARY_CLASSIFICATION
"""Task of files that name none, as the first release wrote them."""


class Label(Frozen):
    """The label, and when it is known."""

    model: Name
    """dbt model that holds the label, one row per entity."""
    column: Name
    """Column of that model; null if there is no label (a cancelled flight)."""
    positive: bool | int | str = True
    """Binary classification: the value of the column that counts as the positive class."""
    classes: tuple[str, ...] = ()
    """Multiclass: every value that the column can have; the first one is the default, when nothing is done."""
    unit: str = ""
    """Regression: unit of the number, such as `EUR per night`."""
    available_after: Duration
    """Time after `event_time` by which a label has arrived."""
