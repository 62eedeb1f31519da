"""How far data has moved from what a model was evaluated on: an effect size, not a significance test.

The effect size is the Jensen-Shannon distance (base 2: 0 is equal, 1 is disjoint) between shares of fixed bins. Numbers
are cut at the reference's deciles, texts by the reference's frequent values; missing values are a bin of their own, and so
are values beyond anything the reference has. Two samples of one and the same distribution still differ by chance, by
``(bins - 1) / (8 ln 2) * (1/n + 1/m)`` bits of divergence on average (second-order expansion of the divergence; the
cross terms give Pearson's chi-squared). That share is taken off, so that the number of rows alone decides nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from noria.core.base.formatting import interval, number, percent
from noria.core.model.signature import Field, Kind, Signature
from noria.core.stats.strata import MatchedWeights

Shares = npt.NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]
Counts = Mapping[str | None, float]
MISSING = "missing"
_number = partial(number, digits=3)
_BINS = 10
_FREQUENT = 0.01
"""A category with at least this share of the reference has a bin of its own; the rare ones share one."""
_MOST_CATEGORIES = 20
_NOTICEABLE = 0.1
"""How far a median must move among the reference's ranks to be worth telling."""


class FeatureDrift(BaseModel):
    """How far one column has moved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    distance: float
    """Jensen-Shannon distance, 0 to 1, less what chance alone would give."""
    drifted: bool
    explanation: str
    """What moved, in words: `median 39 → 68 °F`."""


@dataclass(frozen=True)
class _Binned:
    reference: Shares
    current: Shares
    labels: tuple[str, ...]


def measure_drift(reference: Columns, current: Columns, signature: Signature, threshold: float) -> tuple[FeatureDrift, ...]:
    """Hold each feature against the reference; the farthest moved first.

    Args:
        reference: columns of the model's own reference set, equally long.
        current: columns of the interval, equally long.
        signature: the features and their kinds.
        threshold: distance from which a feature counts as drifted.

    Raises:
        KeyError: a feature is not among the columns.
    """
    found = (compare(field, reference[field.name], current[field.name], threshold) for field in signature.fields)
    return tuple(sorted(found, key=lambda drift: (-drift.distance, drift.name)))


def compare(
    field: Field,
    reference: Sequence[Any],
    current: Sequence[Any],
    threshold: float,
    weights: MatchedWeights | None = None,
) -> FeatureDrift:
    """Hold one column against the reference.

    Args:
        field: name, kind and unit of the column.
        reference: values of the reference.
        current: values now.
        threshold: distance from which it counts as drifted.
        weights: of the rows of both, so that both have the same mix of strata; None counts all alike.
    """
    counted = _counts_of(weights, len(reference), len(current))
    if field.kind is Kind.NUMERIC:
        before, now = _numbers(reference), _numbers(current)
        binned = _bin_numbers(before, now, counted)
        explanation = _explain_missing(binned) or _explain_numbers(before, now, field.unit)
    else:
        binned = _bin_categories(reference, current, counted)
        explanation = _explain_missing(binned) or _explain_categories(binned)
    distance = effect_size(binned.reference, binned.current)
    return FeatureDrift(name=field.name, distance=distance, drifted=distance >= threshold, explanation=explanation)


def effect_size(reference: Shares, current: Shares) -> float:
    """Jensen-Shannon distance between two vectors of counts over the same bins, less what chance alone would give.

    0.0 where either is empty.
    """
    before, now = float(reference.sum()), float(current.sum())
    if before == 0 or now == 0:
        return 0.0
    occupied = (reference + current) > 0
    divergence = _divergence(reference[occupied] / before, current[occupied] / now)
    chance = (int(occupied.sum()) - 1) / (8 * math.log(2)) * (1 / before + 1 / now)
    return round(math.sqrt(max(divergence - chance, 0.0)), 6)


def _divergence(p: Shares, q: Shares) -> float:
    """Jensen-Shannon divergence in bits (Lin, 1991)."""
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def _relative_entropy(p: Shares, q: Shares) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / q[some])))


def _counts_of(weights: MatchedWeights | None, rows: int, other_rows: int) -> tuple[Shares, Shares]:
    """How much each row counts; together as many rows as would say as much if all counted alike."""
    if weights is None:
        return np.ones(rows), np.ones(other_rows)
    effective, other_effective = weights.effective_rows
    return weights.one * effective, weights.other * other_effective


def _numbers(values: Sequence[Any]) -> Shares:
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _bin_numbers(reference: Shares, current: Shares, counted: tuple[Shares, Shares]) -> _Binned:
    known = reference[~np.isnan(reference)]
    edges = _edges(known)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)

    def count(values: Shares, weights: Shares) -> Shares:
        bins = np.searchsorted(edges, values, side="left") + 1
        bins[values < low] = 0
        bins[values > high] = len(edges) + 2
        bins[np.isnan(values)] = len(edges) + 3
        return np.asarray(np.bincount(bins, weights=weights, minlength=len(edges) + 4), dtype=np.float64)

    inner = tuple(f"bin {index}" for index in range(1, len(edges) + 2))
    return _Binned(count(reference, counted[0]), count(current, counted[1]), ("below", *inner, "above", MISSING))


def _edges(known: Shares) -> Shares:
    """Inner edges: between the values where they are few, else the deciles."""
    distinct = np.unique(known)
    if len(distinct) <= 2 * _BINS:
        return (distinct[1:] + distinct[:-1]) / 2
    return np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS))


def _bin_categories(reference: Sequence[Any], current: Sequence[Any], counted: tuple[Shares, Shares]) -> _Binned:
    before, now = _weighted(reference, counted[0]), _weighted(current, counted[1])
    least = _FREQUENT * sum(before.values())
    ranked = sorted((name for name in before if name is not None), key=lambda name: (-before[name], str(name)))
    frequent = tuple(name for name in ranked[:_MOST_CATEGORIES] if before[name] >= least)
    rare = frozenset(ranked) - frozenset(frequent)

    def count(counts: Counts) -> Shares:
        rest = sum(number for name, number in counts.items() if name in rare)
        unseen = sum(number for name, number in counts.items() if name is not None and name not in before)
        return np.array([*(counts.get(name, 0.0) for name in frequent), rest, unseen, counts.get(None, 0.0)])

    return _Binned(count(before), count(now), (*map(str, frequent), "rare values", "values not seen before", MISSING))


def _weighted(values: Sequence[Any], weights: Shares) -> Counts:
    found: dict[str | None, float] = defaultdict(float)
    for value, weight in zip(values, weights.tolist(), strict=True):
        found[_category(value)] += weight
    return found


def _category(value: Any) -> str | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _explain_missing(binned: _Binned) -> str:
    """Says so where missing values are what moved most; else empty."""
    p, q = _shares(binned.reference), _shares(binned.current)
    moved = np.abs(np.sqrt(p) - np.sqrt(q))  # Hellinger's terms: close to each bin's part of the divergence
    if moved[-1] > 0 and moved[-1] >= moved.max():
        return f"missing {percent(p[-1])} → {percent(q[-1])}"
    return ""


def _explain_numbers(before: Shares, now: Shares, unit: str) -> str:
    """The median where it moved noticeably among the reference's values, else the range, else the mean."""
    before, now = before[~np.isnan(before)], now[~np.isnan(now)]
    if not before.size or not now.size:
        return "no values to compare"
    suffix = f" {unit}" if unit else ""
    (was_low, was, was_high), (low, new, high) = (np.quantile(values, [0.1, 0.5, 0.9]).tolist() for values in (before, now))
    median = f"median {_number(was)} → {_number(new)}{suffix}"
    span = f"middle 80 % {interval(was_low, was_high, _number)} → {interval(low, high, _number)}{suffix}"
    same_median = _number(was) == _number(new)
    same_span = (_number(was_low), _number(was_high)) == (_number(low), _number(high))
    if not same_median and (same_span or abs(_rank(before, new) - 0.5) >= _NOTICEABLE):
        return median
    if not same_span:
        return span
    return f"mean {_number(float(before.mean()))} → {_number(float(now.mean()))}{suffix}"


def _rank(values: Shares, value: float) -> float:
    """Share of the values below, ties counting half."""
    return float(np.mean(values < value) + np.mean(values == value) / 2)


def _explain_categories(binned: _Binned) -> str:
    p, q = _shares(binned.reference), _shares(binned.current)
    most = int(np.argmax(np.abs(np.sqrt(p) - np.sqrt(q))))
    return f"{binned.labels[most]}: {percent(p[most])} → {percent(q[most])}"


def _shares(counts: Shares) -> Shares:
    total = counts.sum()
    return counts / total if total else counts
