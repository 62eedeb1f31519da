"""Fitted trees of XGBoost, boosted or bagged: margins, exact contributions, and the same trees as ONNX nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import TreesPart
from noria.core.model.tree_shap import Forest
from noria.training.models.base.onnx_graph import INPUT, GraphPart, as_double, constant, node
from noria.training.models.trees.tree_ensemble import LeafWeights, ensemble_attributes

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class XgboostTrees:
    """A booster whose margins are ``base + slope * (sum of leaves)``, in float64.

    Attributes:
        booster: an `xgboost.Booster`, grown around a margin of zero.
        base: margin of a row before any tree; shape ``(outputs,)``.
        slope: factor of the leaves; regression trees are grown for labels of standard deviation 1 and scaled back here.
    """

    booster: Any
    base: _Numbers
    slope: float = 1.0

    def margins(self, matrix: Matrix) -> _Numbers:
        """Margins of encoded rows; shape ``(rows, outputs)``."""
        leaves = self.booster.inplace_predict(matrix, predict_type="margin", missing=np.nan)
        return self.base + self.slope * np.asarray(leaves, dtype=np.float64).reshape(len(matrix), len(self.base))

    def contributions(self, matrix: Matrix) -> _Numbers:
        """SHAP values by the trees themselves (TreeSHAP, Lundberg et al., 2020); shape ``(rows, outputs, width)``."""
        from xgboost import DMatrix

        shap = self.booster.predict(DMatrix(matrix), pred_contribs=True)
        shaped = np.asarray(shap, dtype=np.float64).reshape(len(matrix), len(self.base), matrix.shape[1] + 1)
        return self.slope * shaped[:, :, :-1]

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins."""
        constants = (constant(f"{name}_slope", np.array(self.slope)), constant(f"{name}_base", self.base))
        nodes = (
            node("TreeEnsembleRegressor", [INPUT], f"{name}_leaves", domain="ai.onnx.ml", **self._ensemble),
            as_double(f"{name}_leaves", f"{name}_sum"),
            node("Mul", [f"{name}_sum", constants[0].name], f"{name}_scaled"),
            node("Add", [f"{name}_scaled", constants[1].name], f"{name}_margins"),
        )
        return GraphPart(nodes, constants, f"{name}_margins")

    def explained(self) -> tuple[TreesPart]:
        """The same trees with the number of rows of each node, which explain rows without XGBoost."""
        trees, outputs = self._trees
        starts = np.cumsum([0, *(len(tree.left) for tree in trees)], dtype=np.intp)
        forest = Forest.of(
            roots=starts[:-1],
            left=_moved([tree.left for tree in trees], starts),
            right=_moved([tree.right for tree in trees], starts),
            outputs=np.array(outputs),
            missing_left=np.concatenate([tree.missing_left for tree in trees]),
            features=np.concatenate([tree.features for tree in trees]),
            values=np.concatenate([tree.values for tree in trees]),
            covers=np.concatenate([tree.covers for tree in trees]),
        )
        return (TreesPart(forest, int(self.booster.num_features()), self.slope),)

    @cached_property
    def _trees(self) -> tuple[list[_Tree], list[int]]:
        """The trees, read from the booster's own JSON, and the output that each adds to."""
        model = json.loads(bytes(self.booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
        return [_Tree.read(tree) for tree in model["trees"]], model["tree_info"]

    @cached_property
    def _ensemble(self) -> dict[str, Any]:
        trees, outputs = self._trees
        leaves = [tree.leaves(output) for tree, output in zip(trees, outputs, strict=True)]
        return ensemble_attributes(trees, leaves, len(self.base))


@dataclass(frozen=True, eq=False)
class _Tree:
    """One tree as arrays over its nodes; all of shape ``(nodes,)``.

    Attributes:
        left, right: positions of the children; -1 for a leaf.
        features: encoded column that a branch reads.
        values: threshold of a branch, which goes left below it; weight of a leaf.
        missing_left: whether a branch sends a missing value to the left.
        covers: curvature of the loss over the training rows of a node, which is about their number.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    features: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    missing_left: npt.NDArray[np.bool_]
    covers: npt.NDArray[np.float32]

    @property
    def leaf(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.left == -1)

    @property
    def thresholds(self) -> npt.NDArray[np.float32]:
        return self.values

    def leaves(self, output: int) -> LeafWeights:
        """The leaves of the tree, which adds to one output."""
        nodes = np.flatnonzero(self.leaf)
        return LeafWeights(nodes, np.full(len(nodes), output), self.values[nodes])

    @classmethod
    def read(cls, tree: dict[str, Any]) -> _Tree:
        """From the JSON of a booster; nodes that pruning cut off are left out."""
        left = np.array(tree["left_children"], dtype=np.int64)
        right = np.array(tree["right_children"], dtype=np.int64)
        reached = _reached(left, right)
        number = np.cumsum(reached) - 1
        is_leaf = left[reached] == -1
        return cls(
            left=np.where(is_leaf, -1, number[left[reached]]),
            right=np.where(is_leaf, -1, number[right[reached]]),
            features=np.array(tree["split_indices"], dtype=np.int64)[reached],
            values=np.array(tree["split_conditions"], dtype=np.float32)[reached],
            missing_left=~is_leaf & (np.array(tree["default_left"], dtype=np.int64)[reached] == 1),
            covers=np.array(tree["sum_hessian"], dtype=np.float32)[reached],
        )


def _reached(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which nodes can be reached from the root; shape ``(nodes,)``."""
    reached = np.zeros(len(left), dtype=np.bool_)
    level = np.array([0])
    while len(level):
        reached[level] = True
        level = level[left[level] != -1]
        level = np.concatenate([left[level], right[level]])
    return reached


def _moved(children: list[npt.NDArray[np.int64]], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Positions of children among the nodes of all trees, which begin at `starts`; -1 for a leaf; shape ``(all nodes,)``."""
    parts = zip(children, starts, strict=False)
    return np.concatenate([np.where(part == -1, -1, part + start) for part, start in parts]).astype(np.intp)
