"""Metrics of ordered lists, such as the offers shown to one customer.

Scores are float64 of shape ``(rows,)``, `groups` names the list of each row (any values that sort; one list by default), and
`k` cuts each list after its first k rows. **Ties**: rows of one list with equal scores have no order, so a list counts what
it gives on average over all orders of its tied rows (McSherry & Najork, "Computing Information Retrieval Performance
Measures Efficiently in the Presence of Tied Scores", 2008). Lists without anything relevant say nothing about an order and
are left out; a metric is NaN where no list is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Groups = npt.NDArray[np.int64] | npt.NDArray[np.str_] | npt.NDArray[np.object_]


def ndcg(relevance: Numbers, scores: Numbers, groups: Groups | None = None, k: int | None = None) -> float:
    """Normalised discounted cumulative gain, mean over lists; 1 for lists in the best order.

    Gain is the relevance itself and the discount ``1 / log2(position + 1)`` (Järvelin & Kekäläinen, "Cumulated gain-based
    evaluation of IR techniques", 2002), as in scikit-learn; for exponential gain pass ``2 ** relevance - 1``.

    Args:
        relevance: how much each row is worth, not below 0.
        scores: the higher, the earlier in its list.
        groups: the list of each row.
        k: count the first k of each list alone.

    Raises:
        ValueError: a relevance is below 0, or k below 1.
    """
    if len(relevance) and relevance.min() < 0:
        raise ValueError(f"relevance may not be below 0, found {relevance.min()}")
    gained = _gain(relevance, _order(scores, groups), k)
    best = _gain(relevance, _order(relevance, groups), k)
    some = best > 0
    return float(np.mean(gained[some] / best[some])) if some.any() else math.nan


def mean_average_precision(
    labels: npt.NDArray[np.bool_], scores: Numbers, groups: Groups | None = None, k: int | None = None
) -> float:
    """Mean over lists of the mean, over their relevant rows, of the precision down to that row; 1 for the best order.

    With `k`, rows after the first k count nothing and a list is divided by the relevant rows that fit, ``min(relevant, k)``,
    so that the best order still gives 1.

    Args:
        labels: which rows are relevant.
        scores: the higher, the earlier in its list.
        groups: the list of each row.
        k: count the first k of each list alone.

    Raises:
        ValueError: k is below 1.
    """
    lists = _order(scores, groups)
    relevant = labels[lists.rows].astype(np.float64)
    whole = _sums(lists.number, relevant)
    found = _sums(lists.number, _within(lists, k) * _expected_precision(lists, relevant))
    some = whole > 0
    fitting = whole if k is None else np.minimum(whole, k)
    return float(np.mean(found[some] / fitting[some])) if some.any() else math.nan


@dataclass(frozen=True)
class _Lists:
    """Rows list by list, the highest score first.

    `number` and `tie` say of each row, in that order, which list and which run of equal scores it belongs to; both count
    from 0. `place` is its position in the list, from 0, and `tie_place` its position in the tie.
    """

    rows: npt.NDArray[np.intp]
    number: npt.NDArray[np.intp]
    place: Ints
    tie: npt.NDArray[np.intp]
    tie_place: Ints


def _order(scores: Numbers, groups: Groups | None) -> _Lists:
    names = np.zeros(len(scores), dtype=np.int64) if groups is None else groups
    number = np.unique(names, return_inverse=True)[1]
    rows = np.lexsort((-scores, number))
    number, ranked = number[rows], scores[rows]
    new_list = np.append(True, number[1:] != number[:-1])[: len(rows)]
    new_tie = new_list | np.append(True, ranked[1:] != ranked[:-1])[: len(rows)]
    return _Lists(rows, number, _since(new_list), np.cumsum(new_tie) - 1, _since(new_tie))


def _since(start: npt.NDArray[np.bool_]) -> Ints:
    """How many rows ago the last start was."""
    here = np.arange(len(start))
    return here - np.maximum.accumulate(np.where(start, here, 0))


def _within(lists: _Lists, k: int | None) -> npt.NDArray[np.bool_]:
    if k is not None and k < 1:
        raise ValueError(f"k is how many rows of a list count, at least 1, not {k}")
    return lists.place < (len(lists.rows) if k is None else k)


def _gain(relevance: Numbers, lists: _Lists, k: int | None) -> Numbers:
    """Discounted gain per list. Each row of a tie is as likely to stand at each of its positions: all share one discount."""
    discount = _within(lists, k) / np.log2(lists.place + 2)
    shared = np.bincount(lists.tie, weights=discount) / np.bincount(lists.tie)
    return _sums(lists.number, relevance[lists.rows] * shared[lists.tie])


def _sums(numbers: npt.NDArray[np.intp], values: Numbers) -> Numbers:
    """Sum of the values of each number."""
    return np.bincount(numbers, weights=values).astype(np.float64)


def _expected_precision(lists: _Lists, relevant: Numbers) -> Numbers:
    """Per position: chance that the row there is relevant, times the precision down to it if it is.

    In a tie of t rows, r of them relevant, the chance is r / t at each position, and j (r - 1) / (t - 1) relevant rows of
    the tie stand on average before its position j, counted from 0.
    """
    sizes, hits = np.bincount(lists.tie)[lists.tie], _sums(lists.tie, relevant)[lists.tie]
    before = _relevant_before(lists, relevant)
    of_tie = lists.tie_place * (hits - 1) / np.maximum(sizes - 1, 1)
    return hits / sizes * (before + 1 + of_tie) / (lists.place + 1)


def _relevant_before(lists: _Lists, relevant: Numbers) -> Numbers:
    """Per row: relevant rows of its list before its tie."""
    before = np.concatenate(([0.0], np.cumsum(relevant)))
    here = np.arange(len(relevant))
    earlier: Numbers = before[here - lists.tie_place] - before[here - lists.place]
    return earlier
