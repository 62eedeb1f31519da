"""What a bundle explains predictions with: written, read, added up, refused."""

import io

import numpy as np
import pytest

from noria.core.base.errors import BundleError
from noria.core.model.explainer import Explainer, LinearPart, TreesPart, read_explainer, write_explainer
from noria.core.model.tree_shap import Forest


def linear(outputs=2, width=3):
    random = np.random.default_rng(4)
    return LinearPart(random.normal(size=(outputs, width)), random.normal(size=width))


def trees(scale=2.0):
    """One stump: column 1 below 0.5 gives -1, else 3; three of four rows go left."""
    return TreesPart(
        Forest(
            outputs=np.array([0]),
            leaf=np.array([False, True, True]),
            missing_left=np.array([True, False, False]),
            features=np.array([1, 0, 0]),
            values=np.array([0.5, -1.0, 3.0], dtype=np.float32),
            covers=np.array([8.0, 6.0, 2.0], dtype=np.float32),
        ),
        width=2,
        scale=scale,
    )


def test_a_weight_counts_by_the_distance_from_the_mean():
    part, rows = linear(), np.array([[1, 2, 3], [0, 0, 0]], dtype=np.float32)
    found = Explainer([part], 2, 3).contributions(rows)
    np.testing.assert_allclose(found[0, 1], part.coefficients[1] * (np.array([1, 2, 3]) - part.center))
    assert found.shape == (2, 2, 3)


def test_a_tree_counts_by_its_distance_from_the_mean():
    rows = np.array([[9, 0.0], [9, 0.5], [9, np.nan]], dtype=np.float32)
    found = Explainer([trees()], 1, 2).contributions(rows)
    np.testing.assert_allclose(found[:, 0], [[0, 2 * (-1 - 0)], [0, 2 * (3 - 0)], [0, 2 * (-1 - 0)]], atol=1e-9)


def test_members_of_a_blend_count_by_their_weight_in_their_own_columns():
    rows = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    both = Explainer([linear(1).placed(0, 0.25), trees().placed(3, 0.75)], 1, 5).contributions(rows)
    np.testing.assert_allclose(both[:, :, :3], 0.25 * Explainer([linear(1)], 1, 3).contributions(rows[:, :3]))
    np.testing.assert_allclose(both[:, :, 3:], 0.75 * Explainer([trees()], 1, 2).contributions(rows[:, 3:]))


def test_what_is_written_is_read_and_is_always_the_same_bytes():
    parts, rows = [linear(1).placed(0, 0.5), trees().placed(3, 0.5)], np.ones((1, 5), dtype=np.float32)
    content = write_explainer(parts, 1, 5)
    assert write_explainer(parts, 1, 5) == content
    again = read_explainer(content)
    assert again.shape == (1, 5)
    np.testing.assert_array_equal(again.contributions(rows), Explainer(parts, 1, 5).contributions(rows))


def test_a_file_that_is_something_else_is_refused():
    content = write_explainer([trees()], 1, 2)
    pickled = io.BytesIO()
    np.savez(pickled, format=np.array([object()]))
    newer = io.BytesIO()
    np.savez(newer, format=np.array(2))
    for other in (b"", b"PK", content[: len(content) // 2], pickled.getvalue(), newer.getvalue()):
        with pytest.raises(BundleError, match="an explainer cannot be read"):
            read_explainer(other)
    for parts, outputs, width in (([trees()], 1, 1), ([linear()], 1, 3), ([linear().placed(1, 1.0)], 2, 3)):
        with pytest.raises(BundleError, match="an explainer cannot be read"):
            read_explainer(write_explainer(parts, outputs, width))
