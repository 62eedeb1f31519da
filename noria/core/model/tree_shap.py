"""Exact SHAP values of trees, by quadrature, with numpy alone.

What is computed is path-dependent TreeSHAP (Lundberg et al., "From local explanations to global understanding with
explainable AI for trees", 2020): a feature that is not known sends a row down both branches, each by its share of the rows
that training saw there. A leaf of weight v then gives feature i

    v * (o_i - z_i) * integral from 0 to 1 of the product over the path's other features j of ((1 - t) z_j + t o_j) dt

where o_j is 1 if the row meets all conditions on j along the path, else 0, and z_j is the product of their shares. (The
Shapley weights of subsets are Beta integrals, so that the sum over subsets factors under the integral; Yu et al., "Linear
TreeShap", 2022, sum the same polynomial.) It is a polynomial of t whose degree is the number of other features, so that
Gauss-Legendre quadrature with half as many points as a path has features gives it exactly.

At each point the product is carried down all trees at once, one level after another, and the sums over leaves are carried
up again. A branch on a feature that was asked about before replaces that feature's factor by a narrower one; its ancestor's
share in the sum is subtracted there. The cost is nodes times points.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]
_LARGEST = np.finfo(np.float32).max
_SMALLEST_SHARE = 1e-12
"""A branch that no row of training took would divide nothing by nothing; it counts as next to never taken."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, all together in order of their levels: first all roots, then the children of the roots, and so on.

    The two children of a branch stand side by side, the left one first, in the order of their parents, so that nothing
    needs to say where they are.

    Attributes:
        outputs: the output that each tree adds to; shape ``(trees,)``.
        leaf: which nodes are leaves; shape ``(nodes,)``, as all that follow.
        missing_left: which branches send a missing value to the left.
        features: encoded column that a branch asks about; anything for a leaf.
        values: float32; a branch is left for values below it; the weight of a leaf.
        covers: float32; how much of the training rows came by, in any unit.
    """

    outputs: npt.NDArray[np.integer]
    leaf: _Flags
    missing_left: _Flags
    features: npt.NDArray[np.integer]
    values: npt.NDArray[np.float32]
    covers: npt.NDArray[np.float32]

    @classmethod
    def of(cls, roots: _Places, left: _Places, right: _Places, outputs: npt.NDArray[np.integer], **nodes: Any) -> Forest:
        """Put trees in order of their levels; nodes that no root leads to are left out.

        Args:
            roots: position of each tree's first node.
            left, right: positions of the children of each node; -1 for a leaf's.
            outputs: the output that each tree adds to.
            nodes: the other attributes, node by node, but `leaf`.
        """
        levels = [roots]
        while len(branches := levels[-1][left[levels[-1]] != -1]):
            levels.append(np.stack([left[branches], right[branches]], axis=1).ravel())
        order = np.concatenate(levels)
        return cls(outputs=outputs, leaf=left[order] == -1, **{name: array[order] for name, array in nodes.items()})

    def level_sizes(self) -> list[int]:
        """Number of nodes of each level.

        Raises:
            ValueError: the nodes do not add up to trees.
        """
        sizes, first = [len(self.outputs)], 0
        while branches := int(np.count_nonzero(~self.leaf[first : first + sizes[-1]])):
            first += sizes[-1]
            sizes.append(2 * branches)
        arrays = (self.leaf, self.missing_left, self.features, self.values, self.covers)
        if any(len(array) != sum(sizes) for array in arrays):
            raise ValueError(f"{sum(sizes)} nodes expected, {sorted({len(array) for array in arrays})} found")
        return sizes


@dataclass(frozen=True, eq=False)
class _Level:
    """Edges of a level, which is a stretch of all edges; none of them is a root's."""

    first: int
    stop: int
    parents: _Places
    """Edge above each pair of them; shape ``(edges / 2,)``."""
    above: _Places
    """Edge above each of them; shape ``(edges,)``."""


class TreeShap:
    """A forest made ready to explain rows.

    Args:
        forest: the trees.
        width: number of encoded columns.
        outputs: number of outputs.

    Raises:
        ValueError: the arrays do not make a forest.
    """

    def __init__(self, forest: Forest, width: int, outputs: int) -> None:
        self._shape = (outputs, width)
        sizes = forest.level_sizes()
        edges = sum(sizes[1:])
        self._features = np.zeros(edges, dtype=np.intp)
        self._keys = np.zeros(edges, dtype=np.intp)
        self._low = np.full(edges, -np.inf, dtype=np.float32)
        self._high = np.full(edges, np.inf, dtype=np.float32)
        self._takes_missing = np.ones(edges, dtype=np.bool_)
        self._shares = np.ones(edges)
        self._before = np.full(edges, -1, dtype=np.intp)
        self._leaves = np.where(forest.leaf, forest.values.astype(np.float64), 0.0)[sizes[0] :]
        self._levels: list[_Level] = []
        most = self._grow(forest, sizes)
        if edges and not (self._features.max() < width and self._keys.max() < outputs * width):
            raise ValueError(f"a branch asks about column {self._features.max()} of {width}, or adds to no output")
        self._narrowing = np.flatnonzero(self._before >= 0)
        self._narrowed = self._before[self._narrowing]
        del self._before
        points, weights = np.polynomial.legendre.leggauss((most + 1) // 2) if most else (np.zeros(0), np.zeros(0))
        self._quadrature = tuple(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))

    @property
    def steps(self) -> int:
        """Cost of a row: edges times points."""
        return len(self._features) * len(self._quadrature)

    def contributions(self, row: npt.NDArray[np.float32]) -> Numbers:
        """SHAP values of one encoded row; shape ``(outputs, width)``."""
        met = self._met(row)
        lead = met - self._shares
        found = np.zeros(len(met))
        for point, weight in self._quadrature:
            factors = (1 - point) * self._shares
            factors += point * met
            gains = lead / factors
            sums = self._sums(factors)
            gains[self._narrowing] -= gains.take(self._narrowed)  # a copy, taken before anything changes
            sums *= gains
            sums *= weight
            found += sums
        size = self._shape[0] * self._shape[1]
        summed: Numbers = np.bincount(self._keys, found, minlength=size).astype(np.float64).reshape(self._shape)
        return summed

    def _met(self, row: npt.NDArray[np.float32]) -> Numbers:
        """1 where the row meets all conditions on the edge's feature down to it, else 0."""
        asked = np.clip(row, -_LARGEST, _LARGEST)[self._features]
        met = (asked >= self._low) & (asked < self._high)
        if np.isnan(row).any():
            met |= self._takes_missing & np.isnan(asked)
        return met.astype(np.float64)

    def _sums(self, factors: Numbers) -> Numbers:
        """Of every edge, the sum over the leaves below it of their weight times the product of the path's factors."""
        products = factors.copy()
        products[self._narrowing] /= factors.take(self._narrowed)
        for level in self._levels[1:]:
            products[level.first : level.stop] *= products.take(level.above)
        products *= self._leaves
        for level in reversed(self._levels[1:]):
            left, right = products[level.first : level.stop : 2], products[level.first + 1 : level.stop : 2]
            products[level.parents] = left + right
        return products

    def _grow(self, forest: Forest, sizes: list[int]) -> int:
        """Fill in the edges, level by level; returns the most features that any path asks about."""
        roots, node, edge = sizes[0], 0, 0
        paths, features_met = np.zeros((roots, 0), dtype=np.intp), np.zeros(roots, dtype=np.intp)
        outputs, most = forest.outputs.astype(np.intp), 0
        for size, below in pairwise(sizes):
            branches = np.flatnonzero(~forest.leaf[node : node + size])
            parents = node + branches
            children = np.arange(edge, edge + below)
            outputs, paths = np.repeat(outputs[branches], 2), np.repeat(paths[branches], 2, axis=0)
            before = self._branch(forest, np.repeat(parents, 2), children, paths)
            self._keys[children] = outputs * self._shape[1] + self._features[children]
            self._levels.append(_Level(edge, edge + below, parents - roots, np.repeat(parents - roots, 2)))
            features_met = np.repeat(features_met[branches], 2) + (before < 0)
            paths = np.concatenate([paths, children[:, None]], axis=1)
            most, node, edge = max(most, int(features_met.max())), node + size, edge + below
        return most

    def _branch(self, forest: Forest, parents: _Places, edges: _Places, paths: _Places) -> _Places:
        """Fill in edges that leave `parents`; returns the edge before each that asks about the same feature, or -1."""
        left = np.arange(len(edges)) % 2 == 0
        asked, threshold = forest.features[parents].astype(np.intp), forest.values[parents]
        before = _last(self._features[paths] == asked[:, None], paths)
        known = before >= 0
        self._features[edges], self._before[edges] = asked, before
        children = edges + len(forest.outputs)
        low, high = (np.where(known, bounds[before], bounds[edges]) for bounds in (self._low, self._high))
        self._low[edges] = np.where(left, low, np.maximum(low, threshold))
        self._high[edges] = np.where(left, np.minimum(high, threshold), high)
        self._takes_missing[edges] = (forest.missing_left[parents] == left) & (~known | self._takes_missing[before])
        tiny = np.finfo(np.float32).tiny
        share = forest.covers[children].astype(np.float64) / np.maximum(forest.covers[parents], tiny)
        whole = np.where(known, self._shares[before], 1.0)
        self._shares[edges] = np.maximum(whole * np.maximum(share, _SMALLEST_SHARE), _SMALLEST_SHARE)
        return before


def _last(same: _Flags, paths: _Places) -> _Places:
    """The last edge of each path where `same` is true, or -1."""
    if not paths.shape[1]:
        return np.full(len(paths), -1, dtype=np.intp)
    last = paths.shape[1] - 1 - same[:, ::-1].argmax(axis=1)
    rows = np.arange(len(paths))
    return np.where(same.any(axis=1), paths[rows, last], -1)
