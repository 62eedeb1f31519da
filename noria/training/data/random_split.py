"""Random splits of rows, or of whole groups of rows, into parts of given shares, stratified."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def row_parts(strata: Ints, shares: Shares, random: np.random.Generator) -> Ints:
    """The part of each row; shape ``(rows,)``.

    Rows are shuffled, sorted by stratum, and dealt to the parts in that order, so a part misses its share of each stratum by
    one or two rows.

    Args:
        strata: stratum of each row, such as its class; shape ``(rows,)``.
        shares: of each part, adding up to 1; shape ``(parts,)``.
        random: the same generator gives the same parts.
    """
    shuffled = random.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # Multiples of the golden ratio, modulo 1, are evenly distributed over any stretch (Weyl, 1916).
    uniform = (np.arange(len(strata)) * 0.6180339887498949 + random.random()) % 1.0
    parts = np.empty(len(strata), dtype=np.int64)
    parts[order] = np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right")
    return parts


def group_parts(groups: Ints, strata: Ints, shares: Shares, random: np.random.Generator) -> Ints:
    """The part of each row, no group in two parts; shape ``(rows,)``.

    Groups are dealt one by one, the most uneven first, each to the part where the strata stay most balanced (as in
    scikit-learn's StratifiedGroupKFold, here for parts of any share).

    Args:
        groups: group of each row, 0 to their number less 1; shape ``(rows,)``.
        strata: stratum of each row, such as its class, from 0; shape ``(rows,)``.
        shares: of each part, adding up to 1; shape ``(parts,)``.
        random: orders equal groups; the same generator gives the same parts.
    """
    count, kinds = int(groups.max()) + 1, int(strata.max()) + 1
    sizes = np.bincount(groups * kinds + strata, minlength=count * kinds).reshape(count, kinds).astype(np.float64)
    shuffled = random.permutation(count)
    order = shuffled[np.argsort(-sizes[shuffled].std(axis=1), kind="stable")]
    room = np.outer(shares, np.maximum(sizes.sum(axis=0), 1.0))  # rows of each stratum that a part should get
    filled, of_group = np.zeros_like(room), np.empty(count, dtype=np.int64)
    for dealt, group in enumerate(order.tolist()):
        # Squares count the fullest part most, and prefer parts that are still empty.
        cost = np.sum(((filled + sizes[group]) ** 2 - filled**2) / room, axis=1)
        empty = ~filled.any(axis=1)
        if count - dealt <= int(empty.sum()):  # no part stays empty while there are groups for all
            cost = np.where(empty, cost, np.inf)
        of_group[group] = int(np.argmin(cost))
        filled[of_group[group]] += sizes[group]
    return of_group[groups]
