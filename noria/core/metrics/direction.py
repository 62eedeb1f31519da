"""Direction of every metric: whether more or less is better."""

from __future__ import annotations

import math
from collections.abc import Mapping

from noria.core.use_case.metric_catalog import DEFINITIONS, Direction

LOWER_IS_BETTER = frozenset(name for name, metric in DEFINITIONS.items() if metric.direction is Direction.LOWER)
"""Metrics of which less is better. Of the others more is, except those of `NEARER_ZERO_IS_BETTER`."""
NEARER_ZERO_IS_BETTER = frozenset(name for name, metric in DEFINITIONS.items() if metric.direction is Direction.NEARER_ZERO)
"""Metrics that can be wrong on either side."""


def goodness(metric: str, found: float) -> float:
    """The metric turned so that more is better, in its own unit; NaN stays NaN."""
    if metric in NEARER_ZERO_IS_BETTER:
        return -abs(found)
    return -found if metric in LOWER_IS_BETTER else found


def better(metric: str, candidate: float, rival: float) -> bool:
    """Whether the candidate is strictly better; false where either is NaN."""
    return goodness(metric, candidate) > goodness(metric, rival)


def finite(found: Mapping[str, float]) -> dict[str, float]:
    """Leave out what the rows could not give."""
    return {name: metric for name, metric in found.items() if math.isfinite(metric)}
