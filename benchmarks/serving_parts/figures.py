"""What is measured of each contender, a round at a time, and the medians of all rounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from http import HTTPStatus
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.serving_parts.contenders import Contender, encoded
from benchmarks.serving_parts.load import drive, http_request
from benchmarks.serving_parts.model import Model
from benchmarks.serving_parts.processes import Running, ask, running

CONNECTIONS, BATCH, BATCH_CONNECTIONS = 32, 100, 8
_ALIKE = 1e-5
_BODIES = 900
"""Different rows, sent in turn: with a few, a processor would learn their way through the trees by heart."""
_WARM_UP = 1.0


class DifferentPredictionsError(Exception):
    """A contender that does not serve the same model."""


class OpenDoorError(Exception):
    """A contender that was to check keys, and answers without one."""


@dataclass(frozen=True)
class Figures:
    """One contender in one round.

    Attributes:
        rate: requests of one row per second, over 32 connections.
        cpu: µs per request, of the server's processes.
        p50, p99: ms, over 32 connections.
        p50_alone: ms, over one connection.
        rows: per second, in requests of 100 rows; 0 where it has none.
        row_cpu: µs per row there.
        memory: MB (PSS) of the server's processes, after all that.
        cold_start: seconds until it was ready.
        answered: predictions that it has given.
    """

    rate: float
    cpu: float
    p50: float
    p99: float
    p50_alone: float
    rows: float
    row_cpu: float
    memory: float
    cold_start: float
    answered: int = 0


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure; predictions are added up."""
    taken = {each.name: median(getattr(figures, each.name) for figures in rounds) for each in fields(Figures)}
    return Figures(**{**taken, "answered": sum(figures.answered for figures in rounds)})


def measure(contender: Contender, model: Model, *, port: int, core: int, seconds: float, log: Path) -> Figures:
    """One round.

    Args:
        contender: is started and stopped.
        model: that it serves; its predictions are compared before anything is timed.
        port: for it.
        core: for it.
        seconds: of load over 32 connections; half as long over one, and as batches.
        log: its output goes there.

    Raises:
        StartError: it does not come up.
        DifferentPredictionsError: it gives others than Noria's predictor in Python.
        OpenDoorError: it does not check keys, where it is asked with one.
        RefusedError: a request was not answered.
    """
    place = {"port": port, "core": core, "log": log, "cwd": log.parent}
    with running(contender.command(port), ready=contender.ready, variables=contender.variables, **place) as server:  # type: ignore[arg-type]
        if contender.headers:
            _check_key(contender, model, port)
        compared = _compare(contender, model, port) if contender.scores else 0
        return _measure(contender, model, server, seconds, compared)


def _measure(contender: Contender, model: Model, server: Running, seconds: float, compared: int) -> Figures:
    full = [row for row in model.rows if None not in row.values()]
    one = [_request(contender, [row]) for row in full[:_BODIES]]
    warm = drive(server.port, one, connections=CONNECTIONS, seconds=_WARM_UP)
    before = server.cpu()
    many = drive(server.port, one, connections=CONNECTIONS, seconds=seconds)
    cpu = (server.cpu() - before) / many.answered * 1e6
    alone = drive(server.port, one, connections=1, seconds=seconds / 2)
    batched, rows, row_cpu = 0, 0.0, 0.0
    if contender.scores:
        batches = [_request(contender, full[start : start + BATCH]) for start in range(0, _BODIES, BATCH)]
        before = server.cpu()
        load = drive(server.port, batches, connections=BATCH_CONNECTIONS, seconds=seconds / 2)
        batched, rows = load.answered * BATCH, load.rate * BATCH
        row_cpu = (server.cpu() - before) / batched * 1e6
    return Figures(
        rate=many.rate,
        cpu=cpu,
        p50=many.percentile(50),
        p99=many.percentile(99),
        p50_alone=alone.percentile(50),
        rows=rows,
        row_cpu=row_cpu,
        memory=server.memory(),
        cold_start=server.cold_start,
        answered=compared + warm.answered + many.answered + alone.answered + batched,
    )


def memory_of(contender: Contender, model: Model, *, port: int, core: int, log: Path) -> tuple[float, int]:
    """MB (PSS) of a server after some load, and how many predictions it gave."""
    requests = [_request(contender, [row]) for row in model.rows[1:_BODIES:2]]
    place = {"port": port, "core": core, "log": log, "cwd": log.parent}
    with running(contender.command(port), ready=contender.ready, variables=contender.variables, **place) as server:  # type: ignore[arg-type]
        load = drive(port, requests, connections=CONNECTIONS, seconds=2)
        return server.memory(), load.answered


def _check_key(contender: Contender, model: Model, port: int) -> None:
    try:
        ask(port, contender.path, method="POST", body=encoded(contender.body(model.rows[:1])))
    except ConnectionError as error:
        if str(HTTPStatus.UNAUTHORIZED.value) in str(error):
            return
        raise
    raise OpenDoorError(f"{contender.label} answers without a key")


def _compare(contender: Contender, model: Model, port: int) -> int:
    """Hold its predictions against the model's; returns how many."""
    found: list[float] = []
    for start in range(0, len(model.rows), BATCH):
        body = encoded(contender.body(model.rows[start : start + BATCH]))
        answer = json.loads(ask(port, contender.path, method="POST", body=body, headers=contender.headers))
        found += contender.scores(answer) if contender.scores else []
    if len(found) != len(model.scores) or not np.abs(np.array(found) - np.array(model.scores)).max() <= _ALIKE:
        raise DifferentPredictionsError(f"{contender.label} predicts something else than the model")
    return len(found)


def _request(contender: Contender, rows: Sequence[dict[str, float | str | None]]) -> bytes:
    headers = [f"{name}: {value}" for name, value in contender.headers.items()]
    return http_request(contender.path, encoded(contender.body(rows)), headers)
