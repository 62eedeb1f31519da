"""Search and training settings, and how rows are held out for evaluation."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from noria.core.use_case.fields import Duration, Frozen, Name
from noria.core.use_case.metric_catalog import SearchMetric


class SplitBy(StrEnum):
    """How rows are held out for evaluation."""

    TIME = "time"
    """The latest rows, with a gap as long as a label takes to arrive."""
    STRATIFIED = "stratified"
    """Rows drawn at random, stratified by class (or range of numbers): for data without an order in time."""
    GROUP = "group"
    """Whole groups drawn at random, so that no group is in both parts."""


class Split(Frozen):
    """How rows are held out for evaluation."""

    by: SplitBy = SplitBy.TIME
    """time, stratified or group."""
    group: Name | None = None
    """Categorical feature that names the group, if `by` is group."""
    folds: int = Field(default=2, ge=1, le=10)
    """Folds of the search: rolling origin in time, else random parts."""


class Engine(StrEnum):
    """The place where gradient boosting is trained."""

    LOCAL = "local"
    """One process, in bounded memory."""
    DASK = "dask"
    """A Dask cluster, at the address in the setting NORIA_DASK_SCHEDULER."""


CandidateName = Literal["dummy", "linear", "gradient_boosting", "random_forest", "blend"]


class Training(Frozen):
    """Search and training settings."""

    candidates: tuple[CandidateName, ...] = ("linear", "gradient_boosting")
    """Kinds of model to try; `blend` averages the best of the others if that is better."""
    trials: int = Field(default=40, ge=1)
    """Number of trials, over all workers."""
    minutes: float = Field(default=5.0, gt=0)
    """Time limit of the search, in minutes."""
    budget: float | None = Field(default=None, gt=0)
    """Budget of the search, in the use case's currency: it ends when the workers' hours have cost that much."""
    cost_per_worker_hour: float = Field(default=0.0, ge=0)
    """Cost of an hour of one search worker, in the use case's currency."""
    workers: int = Field(default=2, ge=1, le=16)
    """Number of parallel search workers on one shared study."""
    metric: SearchMetric | None = None
    """Metric that the search optimises; null takes average_precision, log_loss or rmse, by task."""
    anchor: str | None = None
    """Regression: an expression over features, written like the baseline, that gives a positive reference number, such as
    `first(price_a_year_ago, 95)`; the model then predicts the ratio to it. null: the number itself."""
    seed: int = 7
    """Seed of all random draws."""
    test_window: Duration = timedelta(days=30)
    """Length of the last slice of time, used once, by the final evaluation."""
    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    """Share of rows held out for the final evaluation if the split is not by time."""
    min_labels: int = Field(default=1000, ge=10)
    """Minimum of labelled rows for a training."""
    split: Split = Split()
    """How rows are held out for evaluation."""
    engine: Engine = Engine.LOCAL
    """Where gradient boosting is trained: local, or dask."""

    @property
    def search_minutes(self) -> float:
        """Minutes of search that time and money both allow.

        Example:
            >>> Training(minutes=30, budget=0.5, cost_per_worker_hour=2, workers=2).search_minutes
            7.5
        """
        if self.budget is None or self.cost_per_worker_hour == 0:
            return self.minutes
        return min(self.minutes, 60 * self.budget / (self.cost_per_worker_hour * self.workers))
