"""What we promise of serving, as ratios to the others and as plain figures, and whether it was kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.serving_parts.figures import Figures


@dataclass(frozen=True)
class Bar:
    """One promise.

    Attributes:
        about: what.
        found: what was measured; None where a contender is missing.
        bar: what was promised.
        at_least: whether more is better.
        note: what else is to be known of it.
    """

    about: str
    found: float | None
    bar: float
    at_least: bool = True
    note: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether it was; None where nobody knows."""
        if self.found is None:
            return None
        return self.found >= self.bar if self.at_least else self.found < self.bar

    def __str__(self) -> str:
        found = "?" if self.found is None else f"{self.found:,.2f}"
        word = {True: "yes", False: "NO", None: "not measured"}[self.kept]
        note = f"  ({self.note})" if self.note else ""
        return f"{self.about:<56}{found:>12}  {'>=' if self.at_least else '<'} {self.bar:<9,g} {word}{note}"


_REQUESTS = {
    "mlflow": 60.0,
    "mlserver": 40.0,
    "bentoml-pipeline": 40.0,
    "litserve-pipeline": 40.0,
    "bentoml-graph": 7.0,
    "litserve-graph": 7.0,
    "constant": 1.0,
}
"""By how much Noria answers more requests a second than each."""


def bars(found: Mapping[str, Figures], four_workers: float | None) -> Iterator[Bar]:
    """Every promise.

    Args:
        found: medians by contender.
        four_workers: MB of four workers; None where they were not weighed.
    """
    ours = found["noria"]
    for name, least in _REQUESTS.items():
        other = found.get(name)
        by_cpu = f"{other.cpu / ours.cpu:.2f} by CPU per request" if other else ""  # what else the machine does counts less
        yield Bar(f"requests/s, times those of {name}", other and ours.rate / other.rate, least, note=by_cpu)
    constant, mlflow = found.get("constant"), found.get("mlflow")
    yield Bar("p99 over 32 connections, times that of constant", constant and ours.p99 / constant.p99, 2.0, at_least=False)
    alone = constant and ours.p50_alone / constant.p50_alone
    yield Bar("p50 over one connection, times that of constant", alone, 2.0, at_least=False)
    by_cpu = f"{mlflow.row_cpu / ours.row_cpu:.2f} by CPU per row" if mlflow else ""
    yield Bar("rows/s in batches of 100, times those of mlflow", mlflow and ours.rows / mlflow.rows, 10.0, note=by_cpu)
    yield Bar("rows/s in batches of 100", ours.rows, 25_000)
    yield Bar("cold start, seconds", ours.cold_start, 2.0, at_least=False)
    yield Bar("memory, MB", ours.memory, 120.0, at_least=False)
    yield Bar("memory of four workers, MB", four_workers, 200.0, at_least=False)
