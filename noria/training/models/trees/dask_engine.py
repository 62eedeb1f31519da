"""Grows boosted trees on a Dask cluster (`training.engine: dask`), by XGBoost's own interface to Dask.

What travels is small: a worker gets the encoder and the place of its rows in the snapshot, reads them there and encodes
them as they are encoded everywhere else. So workers need this package, and see the snapshots' folder under the same path.
Rows few enough to be in memory are sent.

Workers add their sums up in the order in which they come, and rows lie wherever a worker was free: the same snapshot gives
as good a model, not the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from noria.core.base.errors import NoriaError, SettingsError
from noria.training.models.trees.external_memory import EncodedBatches, RowMetaInfo, encoded_part

SETTING = "NORIA_DASK_SCHEDULER"
_PATIENCE = 20.0
"""Seconds to wait for the scheduler, and for a first worker."""
_BATCHES_PER_WORKER = 2


def boosted_on_cluster(
    scheduler: str, batches: EncodedBatches, facts: RowMetaInfo, parameters: dict[str, Any], rounds: int
) -> Any:
    """An `xgboost.Booster` grown by the workers of a cluster.

    Args:
        scheduler: address of the cluster.
        batches: encoded rows.
        facts: labels, weights and margins of the rows.
        parameters: XGBoost's; threads are those of each worker.
        rounds: how many trees (of each output) are grown.

    Raises:
        SettingsError: the cluster does not answer, or has no worker.
        NoriaError: a worker could not read its rows, or was lost.
    """
    from xgboost import dask as xgboost_dask

    threads = parameters["nthread"]
    given = {name: value for name, value in parameters.items() if name != "nthread"}
    with _connected(scheduler) as client:
        rows = _on_workers(client, _for_all(client, batches), facts, int(parameters["max_bin"]))
        booster = xgboost_dask.train(client, given, rows, num_boost_round=rounds)["booster"]
    booster.set_param({"nthread": threads})  # from here on it predicts in this process
    return booster


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    from distributed import Client

    connect: Any = Client  # Dask has types for a part of what it offers
    try:
        client = connect(scheduler, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SettingsError(
            f"{SETTING}: no Dask scheduler answers at {scheduler} ({error}); start it, or mend the address"
        ) from error
    with client, client.as_current():  # nobody else's default client is changed
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise SettingsError(
                f"{SETTING}: the Dask cluster at {scheduler} has no worker; start one with `dask worker {scheduler}`"
            ) from error
        try:
            yield client
        except OSError as error:
            raise NoriaError(
                f"a worker of the Dask cluster at {scheduler} cannot read its rows ({error}); workers must see the folder "
                "of snapshots (NORIA_STORAGE) under the same path"
            ) from error


def _for_all(client: Any, batches: EncodedBatches) -> EncodedBatches:
    """Batches small enough that every worker gets some."""
    workers = len(client.scheduler_info(n_workers=-1)["workers"])
    return replace(batches, size=max(1, min(batches.size, math.ceil(len(batches) / (_BATCHES_PER_WORKER * workers)))))


def _on_workers(client: Any, batches: EncodedBatches, facts: RowMetaInfo, max_bin: int) -> Any:
    """The rows as an `xgboost.dask.DaskQuantileDMatrix`, spread over the workers."""
    from xgboost import dask as xgboost_dask

    encoder, means = client.scatter([batches.encoder, batches.means], broadcast=True, hash=False)
    matrices: list[Any] = []
    for place in batches.slices:
        (sent,) = client.scatter([batches.part(place)], hash=False)
        matrices.append(client.submit(encoded_part, encoder, sent, means, place.start, pure=False))
    for matrix in matrices:
        if error := matrix.exception():  # waits until the worker is done
            raise error
    spread = {"data": _array(matrices, [(place.stop - place.start, batches.encoder.width) for place in batches.slices])}
    told = [facts.of(place) for place in batches.slices]
    for name in told[0]:
        if told[0][name] is not None:
            values = [one[name] for one in told]
            spread[name] = _array(client.scatter(values, hash=False), [one.shape for one in values])
    return xgboost_dask.DaskQuantileDMatrix(client, **spread, missing=np.nan, max_bin=max_bin)


def _array(futures: list[Any], shapes: list[tuple[int, ...]]) -> Any:
    """A Dask array of parts that lie with the workers."""
    from dask import array
    from dask.delayed import delayed

    arrays: Any = array
    return arrays.concatenate(
        [
            arrays.from_delayed(delayed(future), shape=shape, dtype=np.float32)
            for future, shape in zip(futures, shapes, strict=True)
        ]
    )
