"""Fitted trees as the ONNX operator TreeEnsembleRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class TreeArrays(Protocol):
    """One tree as arrays over its nodes; all of shape ``(nodes,)``."""

    @property
    def left(self) -> npt.NDArray[np.int64]:
        """Position of the left child; -1 for a leaf."""
        ...

    @property
    def right(self) -> npt.NDArray[np.int64]:
        """Position of the right child; -1 for a leaf."""
        ...

    @property
    def leaf(self) -> npt.NDArray[np.bool_]:
        """Whether a node is a leaf."""
        ...

    @property
    def features(self) -> npt.NDArray[np.int64]:
        """Encoded column that a branch reads."""
        ...

    @property
    def thresholds(self) -> npt.NDArray[np.float32]:
        """A branch goes left below its threshold."""
        ...

    @property
    def missing_left(self) -> npt.NDArray[np.bool_]:
        """Whether a branch sends a missing value to the left."""
        ...


@dataclass(frozen=True, eq=False)
class LeafWeights:
    """Weights that the leaves of one tree add to the outputs; all of shape ``(weights,)``.

    Attributes:
        nodes: positions of the leaves.
        outputs: output that each weight is added to.
        weights: the weights.
    """

    nodes: npt.NDArray[np.intp]
    outputs: npt.NDArray[np.intp]
    weights: npt.NDArray[Any]


def ensemble_attributes(trees: Sequence[TreeArrays], leaves: Sequence[LeafWeights], outputs: int) -> dict[str, Any]:
    """Attributes of the operator: the sum of the trees.

    Args:
        trees: the branches.
        leaves: of each tree.
        outputs: number of outputs.
    """
    return {
        "n_targets": outputs,
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
        "target_treeids": _joined([np.full(len(one.nodes), index) for index, one in enumerate(leaves)]),
        "target_nodeids": _joined([one.nodes for one in leaves]),
        "target_ids": _joined([one.outputs for one in leaves]),
        "target_weights": _joined([one.weights for one in leaves]),
    }


def _joined(parts: list[npt.NDArray[Any]]) -> list[Any]:
    joined: list[Any] = np.concatenate(parts).tolist()
    return joined
