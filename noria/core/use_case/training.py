"""How hard to look for a model, and how rows are held back to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from noria.core.use_case.fields import Duration, Frozen, Name
from noria.core.use_case.target import Task

SearchMetric = Literal["average_precision", "roc_auc", "log_loss", "accuracy", "macro_f1", "rmse", "mae", "pinball"]


class SplitBy(StrEnum):
    """How rows are held back to judge on."""

    TIME = "time"
    """The latest rows, with a gap as long as a label takes: what a model will meet."""
    STRATIFIED = "stratified"
    """Rows drawn at random, every class (or range of numbers) in its share: for data without an order in time."""
    GROUP = "group"
    """Whole groups drawn at random, so that no group is both learnt from and judged on."""


class Split(Frozen):
    """How rows are held back to judge on."""

    by: SplitBy = SplitBy.TIME
    """time, stratified or group."""
    group: Name | None = None
    """Categorical feature that names the group, where `by` is group."""
    folds: int = Field(default=2, ge=1, le=10)
    """Folds of the search: rolling origins in time, else parts drawn at random."""


class Engine(StrEnum):
    """What trains gradient boosting."""

    LOCAL = "local"
    """One process, in bounded memory."""
    DASK = "dask"
    """A Dask cluster, at the address in the setting NORIA_DASK_SCHEDULER."""


CandidateName = Literal["dummy", "linear", "gradient_boosting", "random_forest", "blend"]


_DEFAULT_METRICS: Mapping[Task, SearchMetric] = {
    Task.BINARY_CLASSIFICATION: "average_precision",
    Task.MULTICLASS: "log_loss",
    Task.REGRESSION: "rmse",
}


class Training(Frozen):
    """How hard to look for a model."""

    candidates: tuple[CandidateName, ...] = ("linear", "gradient_boosting")
    """Kinds of model to try; `blend` averages the best of the others where that pays."""
    trials: int = Field(default=40, ge=1)
    """Trials in all, over all workers."""
    minutes: float = Field(default=5.0, gt=0)
    """Time limit of the search."""
    budget: float | None = Field(default=None, gt=0)
    """Most money for the search, in the use case's currency: it ends when the workers' hours have cost that much."""
    cost_per_worker_hour: float = Field(default=0.0, ge=0)
    """What an hour of one search worker costs, in the use case's currency."""
    workers: int = Field(default=2, ge=1, le=16)
    """Parallel search tasks on one shared study."""
    metric: SearchMetric | None = None
    """What the search optimises; null takes average_precision, log_loss or rmse, as the task is."""
    anchor: str | None = None
    """Regression: an expression over features, written as the rule is, that gives a number above 0 to begin from, such as
    `first(price_a_year_ago, 95)`; a model then predicts how many times that number. null: the number itself."""
    seed: int = 7
    """Seed of everything that draws at random."""
    test_window: Duration = timedelta(days=30)
    """Length of the last slice of time, touched once, by the final evaluation."""
    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    """Share of the rows held back for the final evaluation where the split is not by time."""
    min_labels: int = Field(default=1000, ge=10)
    """Fewest labelled rows to train on."""
    split: Split = Split()
    """How rows are held back to judge on."""
    engine: Engine = Engine.LOCAL
    """What trains gradient boosting: local, or dask."""

    @property
    def search_minutes(self) -> float:
        """Minutes of search that time and money both allow."""
        if self.budget is None or self.cost_per_worker_hour == 0:
            return self.minutes
        return min(self.minutes, 60 * self.budget / (self.cost_per_worker_hour * self.workers))

    def metric_for(self, task: Task) -> SearchMetric:
        """What the search optimises."""
        return self.metric or _DEFAULT_METRICS[task]
