"""Boosters of XGBoost: fitted here or on a Dask cluster, to rows in memory or on disk."""

from __future__ import annotations

from typing import Any

from noria.core.base.errors import SettingsError
from noria.core.use_case import Engine, Training
from noria.training.models.base.estimator import FitContext
from noria.training.models.trees.dask_engine import SETTING
from noria.training.models.trees.external_memory import EncodedBatches, RowMetaInfo, binned


def boosted(rows: Any, parameters: dict[str, Any], rounds: int) -> Any:
    """An `xgboost.Booster` after this number of rounds on a training matrix."""
    from xgboost import Booster

    booster = Booster(parameters, cache=[rows])
    for number in range(rounds):
        booster.update(rows, number)
    return booster


def boosted_in_batches(
    batches: EncodedBatches, facts: RowMetaInfo, parameters: dict[str, Any], *, rounds: int, context: FitContext
) -> Any:
    """An `xgboost.Booster` fitted to rows that are never in memory as a whole, here or on a cluster.

    Args:
        batches: encoded rows.
        facts: labels, weights and base margins of the rows.
        parameters: of XGBoost.
        rounds: number of rounds.
        context: threads, or the cluster.

    Raises:
        SettingsError: `context.cluster` names a cluster that does not answer.
        NoriaError: a worker of the cluster could not read its rows.
    """
    if context.cluster:
        from noria.training.models.trees.dask_engine import boosted_on_cluster

        return boosted_on_cluster(context.cluster, batches, facts, parameters, rounds)
    rows = binned(batches, facts, max_bin=int(parameters["max_bin"]), threads=context.threads)
    return boosted(rows, parameters, rounds)


def cluster_of(training: Training, scheduler: str) -> str:
    """Address of the cluster that trains; empty if this process trains.

    Args:
        training: has the engine.
        scheduler: the setting NORIA_DASK_SCHEDULER.

    Raises:
        SettingsError: the engine is dask, and no cluster is set.
    """
    if training.engine is not Engine.DASK:
        return ""
    if not scheduler:
        raise SettingsError(
            f"training.engine is dask and {SETTING} is not set: give the address of the cluster's scheduler, such as "
            "tcp://dask:8786, or take training.engine: local"
        )
    return scheduler
