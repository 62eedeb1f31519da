"""Minimisation of a function of one number.

Golden section with a fixed number of steps gives the same digits with every version of every library; see
docs/adr/0032-training-libraries.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_GOLDEN = (5**0.5 - 1) / 2
_LARGEST_LOG_FACTOR = 3.0


def lowest(function: Callable[[float], float], low: float, high: float, steps: int = 40) -> float:
    """Minimiser of a unimodal function between two numbers, by golden section (Kiefer, 1953)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2


def best_factor(loss: Callable[[float], float]) -> float:
    """The factor with the lowest loss, between exp(-3) and exp(3)."""
    return float(np.exp(lowest(lambda log: loss(float(np.exp(log))), -_LARGEST_LOG_FACTOR, _LARGEST_LOG_FACTOR)))
