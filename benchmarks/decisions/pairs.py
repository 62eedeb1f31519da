"""Shadow mode with skewed money: some more warnings, right ones worth 101 more, wrong ones 1 less."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.decisions.rate import Rate
from noria.core.stats.bounded_mean import bounded_mean

RUNS, ROWS, MORE, ALPHA, LEAST = 100, 8000, 0.3, 0.05, 200


def rates() -> Iterator[Rate]:
    """Rolled back falsely, promoted falsely, and found."""
    equal = [_first_sure(seed, right=1 / 102) for seed in range(RUNS)]
    yield Rate("equal pairs of skewed money are called worse", equal.count(-1), RUNS, at_most=0.05)
    yield Rate("equal pairs of skewed money are called better", equal.count(1), RUNS, at_most=0.05)
    better = [_first_sure(seed, right=0.03) for seed in range(RUNS)]
    yield Rate("pairs that gain are called worse", better.count(-1), RUNS, at_most=0.05)
    worse = [_first_sure(seed, right=0.0) for seed in range(RUNS)]
    yield Rate("pairs that lose are found", worse.count(-1), RUNS, at_least=0.8)


def _first_sure(seed: int, right: float) -> int:
    """Sign of the first look that is sure; 0 if none is."""
    draw = np.random.default_rng(seed)
    more = draw.random(ROWS) < MORE
    worth = np.where(more, np.where(draw.random(ROWS) < right, 101.0, -1.0), 0.0)
    lows, highs = np.where(more, -1.0, 0.0), np.where(more, 101.0, 0.0)
    for rows in np.unique(np.geomspace(LEAST, ROWS, 40).astype(int)).tolist():
        found = bounded_mean(worth[:rows], lows[:rows], highs[:rows], alpha=ALPHA, least=LEAST)
        if found and (found.is_below or found.is_above):
            return -1 if found.is_below else 1
    return 0
