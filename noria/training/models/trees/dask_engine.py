"""Boosted trees on a Dask cluster (`training.engine: dask`), by XGBoost's own interface to Dask.

A worker receives the encoder and the positions of its rows in the snapshot, reads the rows there, and encodes them as
everywhere else. So workers need this package, and must see the folder of snapshots under the same path. Rows that are in
memory are sent.

Workers add their sums in the order in which they arrive, and rows are on the worker that was free: the same snapshot gives
an equally good model, not the same bytes.
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
"""Seconds to wait for the scheduler, and for the first worker."""
_BATCHES_PER_WORKER = 2


def boosted_on_cluster(
    scheduler: str, batches: EncodedBatches, facts: RowMetaInfo, parameters: dict[str, Any], rounds: int
) -> Any:
    """An `xgboost.Booster` fitted by the workers of a cluster.

    Args:
        scheduler: address of the cluster.
        batches: encoded rows.
        facts: labels, weights and base margins of the rows.
        parameters: of XGBoost; `nthread` is for this process.
        rounds: number of trees (of each output).

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
    booster.set_param({"nthread": threads})  # it predicts in this process from now on
    return booster


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    from distributed import Client

    connect: Any = Client  # Dask has types for a part of what it offers
    try:
        client = connect(scheduler, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SettingsError(
            f"{SETTING}: no Dask scheduler answers at {scheduler} ({error}); start it, or correct the address"
        ) from error
    with client, client.as_current():  # the default client of other code stays
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
    """Batches small enough for every worker to get some."""
    workers = len(client.scheduler_info(n_workers=-1)["workers"])
    return replace(batches, size=max(1, min(batches.size, math.ceil(len(batches) / (_BATCHES_PER_WORKER * workers)))))


def _on_workers(client: Any, batches: EncodedBatches, facts: RowMetaInfo, max_bin: int) -> Any:
    """The rows as an `xgboost.dask.DaskQuantileDMatrix`, spread over the workers."""
    from xgboost import dask as xgboost_dask

    encoder, means = client.scatter([batches.encoder, batches.means], broadcast=True, hash=False)
    matrices: list[Any] = []
    for part in batches.slices:
        (sent,) = client.scatter([batches.part(part)], hash=False)
        matrices.append(client.submit(encoded_part, encoder, sent, means, part.start, pure=False))
    for matrix in matrices:
        if error := matrix.exception():  # waits until the worker is done
            raise error
    spread = {"data": _array(matrices, [(part.stop - part.start, batches.encoder.width) for part in batches.slices])}
    by_part = [facts.of(part) for part in batches.slices]
    for name in by_part[0]:
        if by_part[0][name] is not None:
            values = [one[name] for one in by_part]
            spread[name] = _array(client.scatter(values, hash=False), [one.shape for one in values])
    return xgboost_dask.DaskQuantileDMatrix(client, **spread, missing=np.nan, max_bin=max_bin)


def _array(futures: list[Any], shapes: list[tuple[int, ...]]) -> Any:
    """A Dask array of parts that are on the workers."""
    from dask import array
    from dask.delayed import delayed

    arrays: Any = array
    return arrays.concatenate(
        [
            arrays.from_delayed(delayed(future), shape=shape, dtype=np.float32)
            for future, shape in zip(futures, shapes, strict=True)
        ]
    )
