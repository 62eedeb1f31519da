"""What is measured of each server in one round, and the medians of all rounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from http import HTTPStatus
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.serving.load_generator import drive, http_request
from benchmarks.serving.model import BenchmarkModel
from benchmarks.serving.model_servers import ModelServer, Rows, to_json
from benchmarks.serving.processes import RunningServer, ask, running

CONNECTIONS, BATCH, BATCH_CONNECTIONS = 32, 100, 8
_ALIKE = 1e-5
_BODIES = 900
"""Different rows, sent in turn: with a few, a processor would learn their way through the trees by heart."""
_WARM_UP = 1.0


class PredictionMismatchError(Exception):
    """A server predicts something else than the model."""


class MissingAuthenticationError(Exception):
    """A server that should check API keys answers without one."""


@dataclass(frozen=True)
class Figures:
    """One server in one round.

    Attributes:
        rate: requests of one row per second, over 32 connections.
        cpu: µs per request, of the server's processes.
        p50, p99: ms, over 32 connections.
        p50_alone: ms, over one connection.
        rows: per second, in requests of 100 rows; 0 where it has none.
        row_cpu: µs per row there.
        memory: MB (PSS) of the server's processes, after all that.
        cold_start: seconds until it was ready.
        answered: predictions that it gave.
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


def measure(server: ModelServer, model: BenchmarkModel, *, port: int, core: int, seconds: float, log: Path) -> Figures:
    """Start, compare, measure and stop one server.

    Args:
        server: is started and stopped.
        model: that it serves; its predictions are compared before anything is timed.
        port: it listens on.
        core: it may use.
        seconds: of load over 32 connections; half as long over one connection, and in batches.
        log: file for its output.

    Raises:
        ProcessEndedError, TimeoutError: it does not become ready.
        PredictionMismatchError: its predictions are not those of Noria's predictor in Python.
        MissingAuthenticationError: it has an API key and answers without it.
        RequestFailedError: a request was not answered with 200.
    """
    with _started(server, port, core, log) as process:
        if server.headers:
            _check_key(server, model, port)
        compared = _compare(server, model, port) if server.scores else 0
        return _measure(server, model, process, seconds, compared)


def _started(server: ModelServer, port: int, core: int, log: Path) -> AbstractContextManager[RunningServer]:
    command = server.command(port)
    return running(command, port=port, ready=server.ready, core=core, log=log, variables=server.variables)


def _measure(server: ModelServer, model: BenchmarkModel, process: RunningServer, seconds: float, compared: int) -> Figures:
    full = [row for row in model.rows if None not in row.values()]
    one = [_request(server, [row]) for row in full[:_BODIES]]
    warm = drive(process.port, one, connections=CONNECTIONS, seconds=_WARM_UP)
    before = process.cpu()
    many = drive(process.port, one, connections=CONNECTIONS, seconds=seconds)
    cpu = (process.cpu() - before) / many.answered * 1e6
    alone = drive(process.port, one, connections=1, seconds=seconds / 2)
    batched, rows, row_cpu = 0, 0.0, 0.0
    if server.scores:
        batches = [_request(server, full[start : start + BATCH]) for start in range(0, _BODIES, BATCH)]
        before = process.cpu()
        load = drive(process.port, batches, connections=BATCH_CONNECTIONS, seconds=seconds / 2)
        batched, rows = load.answered * BATCH, load.rate * BATCH
        row_cpu = (process.cpu() - before) / batched * 1e6
    return Figures(
        rate=many.rate,
        cpu=cpu,
        p50=many.percentile(50),
        p99=many.percentile(99),
        p50_alone=alone.percentile(50),
        rows=rows,
        row_cpu=row_cpu,
        memory=process.memory(),
        cold_start=process.cold_start,
        answered=compared + warm.answered + many.answered + alone.answered + batched,
    )


def memory_of(server: ModelServer, model: BenchmarkModel, *, port: int, core: int, log: Path) -> tuple[float, int]:
    """MB (PSS) of a server after some load, and how many predictions it gave."""
    requests = [_request(server, [row]) for row in model.rows[1:_BODIES:2]]
    with _started(server, port, core, log) as process:
        load = drive(port, requests, connections=CONNECTIONS, seconds=2)
        return process.memory(), load.answered


def _check_key(server: ModelServer, model: BenchmarkModel, port: int) -> None:
    try:
        ask(port, server.path, method="POST", body=to_json(server.body(model.rows[:1])))
    except ConnectionError as error:
        if str(HTTPStatus.UNAUTHORIZED.value) in str(error):
            return
        raise
    raise MissingAuthenticationError(f"{server.label} answers without a key")


def _compare(server: ModelServer, model: BenchmarkModel, port: int) -> int:
    """Compare its predictions with the model's; returns how many there were."""
    found: list[float] = []
    for start in range(0, len(model.rows), BATCH):
        body = to_json(server.body(model.rows[start : start + BATCH]))
        answer = json.loads(ask(port, server.path, method="POST", body=body, headers=server.headers))
        found += server.scores(answer) if server.scores else []
    if len(found) != len(model.scores) or not np.abs(np.array(found) - np.array(model.scores)).max() <= _ALIKE:
        raise PredictionMismatchError(f"{server.label} predicts something else than the model")
    return len(found)


def _request(server: ModelServer, rows: Rows) -> bytes:
    headers = [f"{name}: {value}" for name, value in server.headers.items()]
    return http_request(server.path, to_json(server.body(rows)), headers)
