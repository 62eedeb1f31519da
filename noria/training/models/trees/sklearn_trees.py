"""Fitted trees that tell all classes apart at once: every leaf holds the rate of each class, and a forest averages them."""

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

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SklearnTree:
    """One tree as arrays over its nodes; children stand behind their parents.

    Attributes:
        left, right: positions of the children; -1 for a leaf's.
        features: encoded column that a branch asks about.
        thresholds: float32; a branch is left for values below it.
        missing_left: which branches send a missing value to the left.
        rates: of each class among the training rows that came by; shape ``(nodes, classes)``.
        covers: how many training rows came by.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    features: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float32]
    missing_left: npt.NDArray[np.bool_]
    rates: _Numbers
    covers: npt.NDArray[np.float32]

    @classmethod
    def of(cls, tree: Any, places: npt.NDArray[np.int64], classes: int) -> SklearnTree:
        """From a tree of scikit-learn.

        Args:
            tree: the `tree_` of a fitted classifier.
            places: class that each of its columns of rates is of.
            classes: how many there are, also of those that no row has.
        """
        rates = np.zeros((tree.node_count, classes))
        rates[:, places] = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
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
        """Which nodes are leaves."""
        return np.asarray(self.left == -1)

    @cached_property
    def undecided(self) -> npt.NDArray[np.bool_]:
        """Which nodes have leaves below them that differ in the rate of a class; shape ``(nodes, classes)``.

        Of that class, all others may be taken for leaves.
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
        least: a smaller rate is taken for this one.
        slope: what a logarithm counts.
    """

    trees: tuple[SklearnTree, ...]
    width: int
    least: float
    slope: float = 1.0

    def rates(self, matrix: Matrix) -> _Numbers:
        """Mean rate of each class in the leaves that rows come to; shape ``(rows, classes)``."""
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
        """What the columns moved of the margins: SHAP values of the rates, taken on to their logarithms.

        Shape ``(rows, classes, width)``; with one constant for each class they add up to the margins.
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
        """The same trees, once for each class, and what takes rates to margins, to explain rows without this library."""
        return (TreesPart(self._forest, self.width), self._logarithm)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.explained(), self.trees[0].rates.shape[1], self.width)

    @cached_property
    def _logarithm(self) -> LogarithmPart:
        """Around the rates of who knows nothing of a row: each leaf by its share of the training rows."""
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
        """Attributes of the ONNX operator TreeEnsembleRegressor; a leaf names only the classes that it has."""
        trees = self.trees
        found = [np.nonzero(np.where(tree.leaf[:, None], tree.rates, 0.0)) for tree in trees]
        return {
            "n_targets": trees[0].rates.shape[1],
            "aggregate_function": "SUM",
            "post_transform": "NONE",
            "nodes_treeids": _joined([np.full(len(tree.left), index) for index, tree in enumerate(trees)]),
            "nodes_nodeids": _joined([np.arange(len(tree.left)) for tree in trees]),
            "nodes_featureids": _joined([np.where(tree.leaf, 0, tree.features) for tree in trees]),
            "nodes_values": _joined([np.where(tree.leaf, 0.0, tree.thresholds) for tree in trees]),
            "nodes_modes": ["LEAF" if leaf else "BRANCH_LT" for leaf in _joined([tree.leaf for tree in trees])],
            "nodes_truenodeids": _joined([np.where(tree.leaf, 0, tree.left) for tree in trees]),
            "nodes_falsenodeids": _joined([np.where(tree.leaf, 0, tree.right) for tree in trees]),
            "nodes_missing_value_tracks_true": _joined([(tree.missing_left & ~tree.leaf).astype(int) for tree in trees]),
            "target_treeids": _joined([np.full(len(nodes), index) for index, (nodes, _) in enumerate(found)]),
            "target_nodeids": _joined([nodes for nodes, _ in found]),
            "target_ids": _joined([classes for _, classes in found]),
            "target_weights": _joined([tree.rates[place] / len(trees) for tree, place in zip(trees, found, strict=True)]),
        }


def _above(thresholds: _Numbers) -> npt.NDArray[np.float32]:
    """The smallest float32 above each threshold: scikit-learn goes left up to it, ONNX below it."""
    near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, near, np.nextafter(near, np.float32(np.inf))).astype(np.float32)


def _joined(parts: list[Any]) -> list[Any]:
    joined: list[Any] = np.concatenate(parts).tolist()
    return joined
