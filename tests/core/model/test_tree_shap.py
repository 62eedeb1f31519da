"""SHAP values of made-up trees, held against the definition: every subset of features, one after another."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from noria.core.model.tree_shap import Forest, TreeShap

WIDTH = 4


@dataclass
class Node:
    cover: float
    value: float = 0.0
    feature: int = -1
    missing_left: bool = False
    left: "Node | None" = None
    right: "Node | None" = None


def grown(random, depth, cover=1000.0):
    """A tree that asks about the same features again and again."""
    if depth == 0 or random.random() < 0.15:
        return Node(cover, float(random.normal()))
    share = random.uniform(0.05, 0.95)
    left, right = grown(random, depth - 1, share * cover), grown(random, depth - 1, (1 - share) * cover)
    return Node(cover, float(random.normal()), int(random.integers(WIDTH)), random.random() < 0.5, left, right)


def expected(node, row, known):
    """What a tree gives where only some features are known."""
    if node.left is None:
        return node.value
    if node.feature in known:
        value = row[node.feature]
        left = node.missing_left if math.isnan(value) else value < np.float32(node.value)
        return expected(node.left if left else node.right, row, known)
    left, right = (side.cover / node.cover * expected(side, row, known) for side in (node.left, node.right))
    return left + right


def by_definition(node, row):
    found = np.zeros(WIDTH)
    for feature in range(WIDTH):
        others = [other for other in range(WIDTH) if other != feature]
        for size in range(WIDTH):
            weight = math.factorial(size) * math.factorial(WIDTH - size - 1) / math.factorial(WIDTH)
            for known in combinations(others, size):
                found[feature] += weight * (expected(node, row, {*known, feature}) - expected(node, row, known))
    return found


def forest_of(trees, outputs):
    """The trees as arrays, depth first, which is not the order that a forest keeps them in."""
    nodes, left, right, roots = [], [], [], []

    def add(node):
        place = len(nodes)
        nodes.append(node)
        left.append(-1)
        right.append(-1)
        if node.left is not None:
            left[place], right[place] = add(node.left), add(node.right)
        return place

    for tree in trees:
        roots.append(add(tree))
    return Forest.of(
        *(np.array(places, dtype=np.intp) for places in (roots, left, right)),
        outputs=np.array(outputs),
        missing_left=np.array([node.missing_left for node in nodes]),
        features=np.array([max(node.feature, 0) for node in nodes]),
        values=np.array([node.value for node in nodes], dtype=np.float32),
        covers=np.array([node.cover for node in nodes], dtype=np.float32),
    )


def rows_of(random, count):
    rows = random.normal(size=(count, WIDTH)).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    return rows


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8])
def test_values_are_those_of_the_definition(depth):
    random = np.random.default_rng(depth)
    trees = [grown(random, depth) for _ in range(3)]
    shap = TreeShap(forest_of(trees, [0, 0, 0]), WIDTH, 1)
    for row in rows_of(random, 12):
        np.testing.assert_allclose(shap.contributions(row)[0], sum(by_definition(tree, row) for tree in trees), atol=1e-6)


def test_each_tree_adds_to_its_own_output():
    random = np.random.default_rng(1)
    trees, (row,) = [grown(random, 4) for _ in range(4)], rows_of(random, 1)
    found = TreeShap(forest_of(trees, [0, 1, 2, 1]), WIDTH, 3).contributions(row)
    wanted = [by_definition(tree, row) for tree in trees]
    np.testing.assert_allclose(found, [wanted[0], wanted[1] + wanted[3], wanted[2]], atol=1e-6)


def test_a_number_without_end_goes_the_way_of_a_large_one():
    random = np.random.default_rng(2)
    tree = grown(random, 5)
    shap = TreeShap(forest_of([tree], [0]), WIDTH, 1)
    row = np.array([np.inf, -np.inf, 0.3, np.nan], dtype=np.float32)
    np.testing.assert_allclose(shap.contributions(row)[0], by_definition(tree, row), atol=1e-6)


def test_a_branch_that_training_never_took_is_no_division_by_nothing():
    never = Node(0.0, 0.0, 1, False, Node(0.0, 5.0), Node(0.0, 7.0))
    tree = Node(10.0, 0.0, 0, False, Node(10.0, 1.0), never)
    found = TreeShap(forest_of([tree], [0]), WIDTH, 1).contributions(np.array([1, 1, 0, 0], dtype=np.float32))[0]
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(7.0 - 1.0, abs=1e-6)  # what the row gets, less what a row gets on average


def test_trees_without_a_branch_move_nothing():
    shap = TreeShap(forest_of([Node(5.0, 3.0), Node(5.0, 4.0)], [0, 1]), WIDTH, 2)
    assert shap.contributions(np.zeros(WIDTH, dtype=np.float32)).tolist() == [[0.0] * WIDTH] * 2
    assert shap.steps == 0


def test_nodes_that_make_no_tree_are_refused():
    random = np.random.default_rng(3)
    forest = forest_of([grown(random, 4) for _ in range(5)], [0] * 5)
    cut = Forest(*(getattr(forest, name)[:-1] if name != "outputs" else forest.outputs for name in Forest.__annotations__))
    with pytest.raises(ValueError, match="nodes expected"):
        TreeShap(cut, WIDTH, 1)
    with pytest.raises(ValueError, match="asks about column"):
        TreeShap(forest, 1, 1)
