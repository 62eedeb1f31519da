"""The performance targets of serving: ratios to other servers and plain figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.serving.figures import Figures


@dataclass(frozen=True)
class Target:
    """One figure and its limit.

    Attributes:
        about: what is measured.
        found: the measured figure; None where a server is missing.
        limit: that the figure must reach, or stay below.
        at_least: whether more is better.
        note: a second figure, in words.
    """

    about: str
    found: float | None
    limit: float
    at_least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps the limit; None where it was not measured."""
        if self.found is None:
            return None
        return self.found >= self.limit if self.at_least else self.found < self.limit

    def __str__(self) -> str:
        found = "?" if self.found is None else f"{self.found:,.2f}"
        word = {True: "yes", False: "NO", None: "not measured"}[self.met]
        note = f"  ({self.note})" if self.note else ""
        return f"{self.about:<56}{found:>12}  {'>=' if self.at_least else '<'} {self.limit:<9,g} {word}{note}"


_REQUESTS = {
    "mlflow": 60.0,
    "mlserver": 40.0,
    "bentoml-pipeline": 40.0,
    "litserve-pipeline": 40.0,
    "bentoml-graph": 7.0,
    "litserve-graph": 7.0,
    "constant": 1.0,
}
"""How many times the requests per second of each server Noria must answer."""


def targets(found: Mapping[str, Figures], four_workers: float | None) -> Iterator[Target]:
    """Every target.

    Args:
        found: medians by server.
        four_workers: MB of four workers; None where they were not measured.
    """
    noria = found["noria"]
    for name, least in _REQUESTS.items():
        other = found.get(name)
        requests = noria.rate / other.rate if other else None
        by_cpu = f"{other.cpu / noria.cpu:.2f} by CPU per request" if other else ""  # a busy machine distorts this less
        yield Target(f"requests/s, times those of {name}", requests, least, note=by_cpu)
    constant, mlflow = found.get("constant"), found.get("mlflow")
    slowest = noria.p99 / constant.p99 if constant else None
    yield Target("p99 over 32 connections, times that of constant", slowest, 2.0, at_least=False)
    alone = noria.p50_alone / constant.p50_alone if constant else None
    yield Target("p50 over one connection, times that of constant", alone, 2.0, at_least=False)
    rows = noria.rows / mlflow.rows if mlflow else None
    by_cpu = f"{mlflow.row_cpu / noria.row_cpu:.2f} by CPU per row" if mlflow else ""
    yield Target("rows/s in batches of 100, times those of mlflow", rows, 10.0, note=by_cpu)
    yield Target("rows/s in batches of 100", noria.rows, 25_000)
    yield Target("cold start, seconds", noria.cold_start, 2.0, at_least=False)
    yield Target("memory, MB", noria.memory, 120.0, at_least=False)
    yield Target("memory of four workers, MB", four_workers, 200.0, at_least=False)
