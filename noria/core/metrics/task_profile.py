"""Consequences of a task, in one table: the metrics that stand for it, and the words for what it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from noria.core.use_case import Task, UseCase


@dataclass(frozen=True)
class TaskProfile:
    """One task.

    Attributes:
        search_metric: what a search optimises unless the use case names another metric.
        headline: the one metric of a version, in verdicts, mails, pages, commands and the summary of gates.
        metrics: columns of tables, in order, headline first; money is shown before them.
        interval_metric: has an interval for every segment and month of an evaluation, beside money and gated metrics.
        answer: what a prediction is, as in "it predicts ...".
        outcomes: what is counted or compared, in the plural.
        contribution_unit: unit of a reason's strength.
    """

    search_metric: str
    headline: str
    metrics: tuple[str, ...]
    interval_metric: str
    answer: str
    outcomes: str
    contribution_unit: str


_PROFILES: Mapping[Task, TaskProfile] = {
    Task.BINARY_CLASSIFICATION: TaskProfile(
        search_metric="average_precision",
        headline="roc_auc",
        metrics=("roc_auc", "precision", "recall"),
        interval_metric="roc_auc",
        answer="yes or no",
        outcomes="scores",
        contribution_unit="log odds",
    ),
    Task.MULTICLASS: TaskProfile(
        search_metric="log_loss",
        headline="roc_auc",
        metrics=("roc_auc", "log_loss", "accuracy", "macro_f1"),
        interval_metric="accuracy",
        answer="one of several classes",
        outcomes="decisions",
        contribution_unit="log odds",
    ),
    Task.REGRESSION: TaskProfile(
        search_metric="rmse",
        headline="wape",
        metrics=("wape", "mae", "bias"),
        interval_metric="mae",
        answer="a number",
        outcomes="predictions",
        contribution_unit="units of the label",
    ),
}
"""A headline should move when a model gets worse, and not when only the mix of rows does, for that is drift:

- Yes or no, and classes: ROC AUC, for several classes the mean of each against the rest. For two classes it does not depend
  on how often each comes, for several only a little. Log loss follows the mix more than the model, and no one rise of it
  means the same everywhere. F1 depends on the decisions alone, which are made for money, so it moves when only the money per
  outcome changes, and hardly when the probabilities of a rare class become worthless.
- Numbers: the sum of errors as a share of the sum of labels (WAPE) has no unit and does not rise only because prices do. The
  root of the mean square (RMSE) does, and a few outliers decide it.

`interval_metric` is part of the bytes of an evaluation.
"""


def profile_of(task: Task) -> TaskProfile:
    """The profile of a task."""
    return _PROFILES[task]


def search_metric(use_case: UseCase) -> str:
    """The metric that a search optimises: the one that the use case names, else the task's."""
    return use_case.training.metric or profile_of(use_case.task).search_metric
