"""The mean of bounded amounts, looked at again and again: an empirical-Bernstein confidence sequence.

What a decision can be worth is known before its label comes. A mean of such differences has an interval that holds at every
look, for any distribution within the bounds, however skewed: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded
random variables by betting" (Journal of the Royal Statistical Society B, 2024), theorem 2, with bounds of each row.
"""

from __future__ import annotations

import math

import numpy as np

from noria.core.stats.confidence_sequence import AnytimeInterval
from noria.core.stats.strata import Values

_LARGEST_BET = 0.5
"""Largest bet, as a share of the one that could lose everything on a row."""


def bounded_mean(values: Values, lows: Values, highs: Values, *, alpha: float, least: int) -> AnytimeInterval | None:
    """Mean of amounts of which each was known to lie between two bounds before it was seen.

    Rows whose bounds are equal are certain: they count in the mean, and not in its uncertainty.

    Args:
        values: amounts in the order in which they became known, shape ``(rows,)``.
        lows: lower bound of each, shape ``(rows,)``.
        highs: upper bound of each, shape ``(rows,)``.
        alpha: probability that the truth ever leaves the interval.
        least: fewest rows; below it None is returned.

    Raises:
        ValueError: a value is outside its bounds.
    """
    if np.any(values < lows - 1e-9) or np.any(values > highs + 1e-9):
        raise ValueError("a value lies outside its bounds")
    rows = len(values)
    if rows < max(least, 2):
        return None
    mean = float(values.mean())
    open_rows = highs > lows
    if not open_rows.any():
        return AnytimeInterval(mean, mean, mean, rows)
    share, certain = float(open_rows.mean()), float(values[~open_rows].sum()) / rows
    center, half = _sequence(values[open_rows], lows[open_rows], highs[open_rows], alpha)
    low, high = certain + share * (center - half), certain + share * (center + half)
    return AnytimeInterval(min(max(mean, low), high), low, high, rows)


def _sequence(values: Values, lows: Values, highs: Values, alpha: float) -> tuple[float, float]:
    """Center and half width after the last row.

    Every bet and every guess of the mean is made from earlier rows and from the bounds of its own.
    """
    spans, number = highs - lows, np.arange(1, len(values) + 1)
    widest = np.maximum.accumulate(spans)
    before = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    guesses = np.clip(before / number, lows, highs)
    squares = (values - guesses) ** 2
    variances = (widest**2 / 4 + np.concatenate([[0.0], np.cumsum(squares)[:-1]])) / number
    sure = math.log(2 / alpha)
    bets = np.minimum(np.sqrt(2 * sure / (variances * number * np.log1p(number))), _LARGEST_BET / spans)
    stakes = bets * spans
    losses = squares / spans**2 * (-np.log1p(-stakes) - stakes)
    total = float(bets.sum())
    return float(np.sum(bets * values)) / total, (sure + float(losses.sum())) / total
