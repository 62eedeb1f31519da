"""Draws rows, or whole groups of rows, into parts of given shares, each with every stratum by its share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def row_parts(strata: Ints, shares: Shares, random: np.random.Generator) -> Ints:
    """The part of each row; shape ``(rows,)``.

    Rows are shuffled, put in order of their stratum, and dealt out along that order, so that a part is a row or two off its
    share of each stratum.

    Args:
        strata: what each row is, such as its class.
        shares: of each part, adding up to 1.
        random: decides; the same generator gives the same parts.
    """
    shuffled = random.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # The golden ratio's multiples fill the unit interval evenly, for any stretch of them (Weyl, 1916).
    places = (np.arange(len(strata)) * 0.6180339887498949 + random.random()) % 1.0
    parts = np.empty(len(strata), dtype=np.int64)
    parts[order] = np.searchsorted(np.cumsum(shares)[:-1], places, side="right")
    return parts


def group_parts(groups: Ints, strata: Ints, shares: Shares, random: np.random.Generator) -> Ints:
    """The part of each row, no group in two parts; shape ``(rows,)``.

    Groups are dealt out one by one, the most lopsided first, each to the part where it leaves the strata most evenly filled
    (as scikit-learn's StratifiedGroupKFold does, here for parts of any share).

    Args:
        groups: the group of each row, 0 to their number less 1.
        strata: what each row is, such as its class; 0 and up.
        shares: of each part, adding up to 1.
        random: settles equals; the same generator gives the same parts.
    """
    count, kinds = int(groups.max()) + 1, int(strata.max()) + 1
    sizes = np.bincount(groups * kinds + strata, minlength=count * kinds).reshape(count, kinds).astype(np.float64)
    shuffled = random.permutation(count)
    order = shuffled[np.argsort(-sizes[shuffled].std(axis=1), kind="stable")]
    room = np.outer(shares, np.maximum(sizes.sum(axis=0), 1.0))  # rows of each stratum that a part is to have
    filled, of_group = np.zeros_like(room), np.empty(count, dtype=np.int64)
    for dealt, group in enumerate(order.tolist()):
        # Squares: what matters is how far the fullest part is over; a part that is still empty attracts.
        cost = np.sum(((filled + sizes[group]) ** 2 - filled**2) / room, axis=1)
        empty = ~filled.any(axis=1)
        if count - dealt <= int(empty.sum()):  # no part stays empty while there are groups for all
            cost = np.where(empty, cost, np.inf)
        of_group[group] = int(np.argmin(cost))
        filled[of_group[group]] += sizes[group]
    return of_group[groups]
