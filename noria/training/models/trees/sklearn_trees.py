"""Fitted trees of scikit-learn for several classes: every leaf holds the rate of each class, and a forest averages them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import Explainer, TreesPart
from noria.core.model.link_functions import LogarithmPart
from noria.core.model.tree_shap import Forest
from noria.training.models.base.margin import Margins
from noria.training.models.base.onnx_graph import INPUT, GraphPart, as_double, constant, node
from noria.training.models.trees.tree_ensemble import LeafWeights, ensemble_attributes

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SklearnTree:
    """One tree as arrays over its nodes; children come after their parents. Of shape ``(nodes,)`` unless stated otherwise.

    Attributes:
        left, right: positions of the children; -1 for a leaf.
        features: encoded column that a branch reads.
        thresholds: a branch goes left below its threshold.
        missing_left: whether a branch sends a missing value to the left.
        rates: share of each class among the training rows of a node; shape ``(nodes, classes)``.
        covers: number of training rows of a node.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    features: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float32]
    missing_left: npt.NDArray[np.bool_]
    rates: _Numbers
    covers: npt.NDArray[np.float32]

    @classmethod
    def of(cls, tree: Any, present: npt.NDArray[np.int64], classes: int) -> SklearnTree:
        """From a tree of scikit-learn.

        Args:
            tree: the `tree_` of a fitted classifier.
            present: class of each of its columns of rates.
            classes: number of classes, with those that no row has.
        """
        rates = np.zeros((tree.node_count, classes))
        rates[:, present] = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
        return cls(
            left=tree.children_left.astype(np.int64),
            right=tree.children_right.astype(np.int64),
            features=np.maximum(tree.feature, 0).astype(np.int64),
            thresholds=_above(tree.threshold),
            missing_left=tree.missing_go_to_left.astype(np.bool_),
            rates=rates,
            covers=tree.weighted_n_node_samples.astype(np.float32),
        )

    @property
    def leaf(self) -> npt.NDArray[np.bool_]:
        """Whether a node is a leaf; shape ``(nodes,)``."""
        return np.asarray(self.left == -1)

    @cached_property
    def undecided(self) -> npt.NDArray[np.bool_]:
        """Whether the leaves below a node differ in the rate of a class; shape ``(nodes, classes)``.

        For that class, all other nodes may be treated as leaves.
        """
        low, high = self.rates.copy(), self.rates.copy()
        for parent in np.flatnonzero(~self.leaf)[::-1]:
            left, right = self.left[parent], self.right[parent]
            np.minimum(low[left], low[right], out=low[parent])
            np.maximum(high[left], high[right], out=high[parent])
        return np.asarray(high > low)


@dataclass(frozen=True, eq=False)
class SklearnTrees:
    """A forest; margins are ``slope * log(mean rate)`` of each class, in float64.

    Attributes:
        trees: the trees.
        width: number of encoded columns.
        least: lower limit of a mean rate.
        slope: factor of the logarithm.
    """

    trees: tuple[SklearnTree, ...]
    width: int
    least: float
    slope: float = 1.0

    def rates(self, matrix: Matrix) -> _Numbers:
        """Mean rate of each class in the leaves that the rows reach; shape ``(rows, classes)``."""
        total = np.zeros((len(matrix), self.trees[0].rates.shape[1]))
        rows = np.arange(len(matrix))
        for tree in self.trees:
            at = np.zeros(len(matrix), dtype=np.int64)
            while len(on := np.flatnonzero(tree.left[at] != -1)):
                here = at[on]
                values = matrix[rows[on], tree.features[here]]
                goes_left = np.where(np.isnan(values), tree.missing_left[here], values < tree.thresholds[here])
                at[on] = np.where(goes_left, tree.left[here], tree.right[here])
            total += tree.rates[at]
        return total / len(self.trees)

    def margins(self, matrix: Matrix) -> Margins:
        """Margins of encoded rows; shape ``(rows, classes)``."""
        return np.asarray(self.slope * np.log(np.maximum(self.rates(matrix), self.least)), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> _Numbers:
        """SHAP values of the rates, converted to logarithms; shape ``(rows, classes, width)``.

        With one constant for each class they add up to the margins.
        """
        return self._explainer.contributions(matrix)

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins."""
        constants = (constant(f"{name}_least", np.array(self.least)), constant(f"{name}_slope", np.array(self.slope)))
        nodes = (
            node("TreeEnsembleRegressor", [INPUT], f"{name}_leaves", domain="ai.onnx.ml", **self._ensemble),
            as_double(f"{name}_leaves", f"{name}_rates"),
            node("Max", [f"{name}_rates", constants[0].name], f"{name}_not_below"),
            node("Log", [f"{name}_not_below"], f"{name}_logs"),
            node("Mul", [f"{name}_logs", constants[1].name], f"{name}_margins"),
        )
        return GraphPart(nodes, constants, f"{name}_margins")

    def explained(self) -> tuple[TreesPart, LogarithmPart]:
        """The same trees, once for each class, and the logarithm, which explain rows without scikit-learn."""
        return (TreesPart(self._forest, self.width), self._logarithm)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.explained(), self.trees[0].rates.shape[1], self.width)

    @cached_property
    def _logarithm(self) -> LogarithmPart:
        """The logarithm around the expected rates: each leaf weighted by its share of the training rows."""
        usual = np.mean([(tree.covers[tree.leaf] / tree.covers[0]) @ tree.rates[tree.leaf] for tree in self.trees], axis=0)
        return LogarithmPart(self.width, np.asarray(usual, dtype=np.float64), self.slope, self.least)

    @cached_property
    def _forest(self) -> Forest:
        classes = self.trees[0].rates.shape[1]
        copies = [(tree, output, tree.undecided[:, output]) for tree in self.trees for output in range(classes)]
        starts = np.cumsum([0, *(len(tree.left) for tree, _, _ in copies)])
        moved = [
            [np.where(open_, child + start, -1) for child in (tree.left, tree.right)]
            for (tree, _, open_), start in zip(copies, starts, strict=False)
        ]
        weights = [
            np.where(open_, tree.thresholds, tree.rates[:, output] / len(self.trees)) for tree, output, open_ in copies
        ]
        return Forest.of(
            roots=starts[:-1].astype(np.intp),
            left=np.concatenate([left for left, _ in moved]).astype(np.intp),
            right=np.concatenate([right for _, right in moved]).astype(np.intp),
            outputs=np.array([output for _, output, _ in copies]),
            missing_left=np.concatenate([tree.missing_left for tree, _, _ in copies]),
            features=np.concatenate([tree.features for tree, _, _ in copies]),
            values=np.concatenate(weights).astype(np.float32),
            covers=np.concatenate([tree.covers for tree, _, _ in copies]),
        )

    @cached_property
    def _ensemble(self) -> dict[str, Any]:
        return ensemble_attributes(self.trees, [self._leaves(tree) for tree in self.trees], self.trees[0].rates.shape[1])

    def _leaves(self, tree: SklearnTree) -> LeafWeights:
        """Weights of the leaves of a tree; classes that a leaf does not have are left out."""
        nodes, classes = np.nonzero(np.where(tree.leaf[:, None], tree.rates, 0.0))
        return LeafWeights(nodes, classes, tree.rates[nodes, classes] / len(self.trees))


def _above(thresholds: _Numbers) -> npt.NDArray[np.float32]:
    """The smallest float32 above each threshold, same shape: scikit-learn goes left up to it, ONNX below it."""
    near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, near, np.nextafter(near, np.float32(np.inf))).astype(np.float32)
