"""Student's t distribution, for intervals that rest on few independent parts; degrees of freedom need not be whole."""

from __future__ import annotations

import math

_STEPS = 300
_EXACT = 1e-15


def upper_tail(t: float, freedom: float) -> float:
    """Probability of more than `t`; the regularised incomplete beta function gives it (Abramowitz and Stegun, 26.7.1).

    Example:
        >>> round(upper_tail(2.776445, 4), 6), upper_tail(0, 3), upper_tail(-math.inf, 3)
        (0.025, 0.5, 1.0)
    """
    if math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    tail = _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2
    return tail if t >= 0 else 1 - tail


def quantile(probability: float, freedom: float) -> float:
    """The value that is exceeded with ``1 - probability``, by bisection.

    Raises:
        ValueError: the probability is not between 0 and 1.

    Example:
        >>> round(quantile(0.975, 29), 4), round(quantile(0.025, 29), 4)
        (2.0452, -2.0452)
    """
    if not 0 < probability < 1:
        raise ValueError(f"{probability} is no probability between 0 and 1")
    if probability < 0.5:
        return -quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while upper_tail(high, freedom) > 1 - probability:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if upper_tail(middle, freedom) > 1 - probability else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised, by its continued fraction (Lentz's method)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _STEPS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            result *= c * d
        if abs(c * d - 1) < _EXACT:
            break
    return front * result
