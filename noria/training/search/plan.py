"""The plan of one search: everything it takes from the use case, so that its parts need no use case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from noria.core.base.results import SnapshotRef
from noria.core.metrics.task_profile import search_metric
from noria.core.model.bundle import specification_digest
from noria.core.use_case import Features, UseCase
from noria.training.data.dataset import SnapshotSchema, snapshot_schema
from noria.training.data.parquet_columns import MOST_IN_MEMORY
from noria.training.data.sampling import DEFAULT_SAMPLING, Sampling
from noria.training.data.search_metric import SearchMeasure, search_measure
from noria.training.data.splits import SplitPlan, split_plan
from noria.training.data.target import PredictionTarget, target_of
from noria.training.models.base.estimator import FitContext, Params
from noria.training.models.base.threads import threads_per_worker
from noria.training.models.catalog import BLEND
from noria.training.search.budget import SearchLimits, search_limits
from noria.training.search.initial_trials import first_trials, fitted_kinds, searched_kinds


@dataclass(frozen=True)
class SearchPlan:
    """A search, made of a use case and a training set.

    Attributes:
        study: name of the study; the same training set and specification give the same name, so a retry resumes it.
        snapshot: the training set.
        schema: columns and label of the training set.
        target: what is predicted.
        split: how the folds are drawn.
        candidates: kinds of model to fit, cheapest first.
        searched: those of them that have hyperparameters.
        blends: whether trials may be averaged.
        initial: kind and hyperparameters of the first trials.
        warm_start: parameters of the champion's run, as the registry returns them; stored with the study.
        measure: the search metric.
        limits: where the search ends.
        seed: of every draw.
        workers: how many workers share the study.
        sampling: when the search uses a sample of the rows.
        most_in_memory: most rows of a fold in memory.
    """

    study: str
    snapshot: SnapshotRef
    schema: SnapshotSchema
    target: PredictionTarget
    split: SplitPlan
    candidates: tuple[str, ...]
    searched: tuple[str, ...]
    blends: bool
    initial: tuple[tuple[str, Params], ...]
    warm_start: Mapping[str, str]
    measure: SearchMeasure
    limits: SearchLimits
    seed: int
    workers: int
    sampling: Sampling = DEFAULT_SAMPLING
    most_in_memory: int = MOST_IN_MEMORY

    @property
    def features(self) -> Features:
        """Columns that a model may use."""
        return self.schema.features

    @property
    def context(self) -> FitContext:
        """Seed and threads of every fit."""
        return FitContext(self.seed, threads_per_worker(self.workers))


def search_plan(use_case: UseCase, snapshot: SnapshotRef, warm_start: Mapping[str, str] | None = None) -> SearchPlan:
    """The search that a use case asks for on a training set.

    Args:
        use_case: candidates, split, metric and limits.
        snapshot: the training set.
        warm_start: parameters of the champion's run, as the registry returns them; a new study starts from them.
    """
    training, target, limits = use_case.training, target_of(use_case), search_limits(use_case)
    candidates, champion = fitted_kinds(training.candidates), warm_start or {}
    return SearchPlan(
        study=study_name(use_case, snapshot),
        snapshot=snapshot,
        schema=snapshot_schema(use_case),
        target=target,
        split=split_plan(use_case),
        candidates=candidates,
        searched=searched_kinds(target, candidates),
        blends=BLEND in training.candidates,
        initial=first_trials(target, candidates, champion)[: limits.trials],
        warm_start=champion,
        measure=search_measure(search_metric(use_case), target),
        limits=limits,
        seed=training.seed,
        workers=training.workers,
    )


def study_name(use_case: UseCase, snapshot: SnapshotRef) -> str:
    """Name of the study of a training set; another snapshot or specification gives another name."""
    return f"{use_case.name}/{snapshot.digest[:16]}/{specification_digest(use_case)[:16]}"
