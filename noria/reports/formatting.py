"""How reports show metrics: titles, meanings, directions, and leads over a reference model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from noria.core.base import formatting
from noria.core.lifecycle.evaluation import Difference, Estimate
from noria.core.use_case.metric_catalog import Direction, definition, figure, gap

LINE_NAMES: Mapping[str, str] = {
    "candidate": "Candidate",
    "champion": "Serving model",
    "baseline": "The baseline",
    "nothing": "Doing nothing",
    "perfect": "Perfect foresight",
}


@dataclass(frozen=True)
class Lead:
    """A difference between two, and whether it is more than chance.

    Attributes:
        text: the difference with its interval.
        verdict: `better`, `worse` or `chance`.
    """

    text: str
    verdict: str


def metric_title(metric: str) -> str:
    """Its name as the field writes it."""
    return definition(metric).title


def bounds(metric: str, estimate: Estimate | None) -> str:
    """The bounds of an interval of a metric; empty where there is none."""
    return formatting.interval(estimate.low, estimate.high, partial(figure, metric)) if estimate else ""


def lead(metric: str, difference: Difference | None) -> Lead | None:
    """A difference in words; it is more than chance where its interval is on one side of 0."""
    if difference is None:
        return None
    text = f"{gap(metric, difference.value)} ({figure(metric, difference.low)} to {figure(metric, difference.high)})"
    if difference.low <= 0 <= difference.high:
        return Lead(text, "chance")
    higher = definition(metric).direction is Direction.HIGHER  # of nearer zero, a difference of absolute values
    return Lead(text, "better" if higher == (difference.value > 0) else "worse")
