"""Valid scores of each task."""

import math

import numpy as np
import pytest

from noria.core.model.bundle import Manifest
from noria.core.model.signature import Signature
from serving.contract.scores import expected_shape, valid_rows


def a_manifest(task):
    classes = ("on_time", "late", "lost") if task == "multiclass" else ()
    return Manifest(
        use_case="parcels", kind="onnx", candidate="linear", signature=Signature(fields=()), task=task, classes=classes
    )


@pytest.mark.parametrize(
    ("task", "scores", "fine"),
    [
        ("binary_classification", [0.0, 1.0, 0.5, -1e-9, 1.1, math.nan, math.inf], [True] * 3 + [False] * 4),
        ("regression", [0.0, -112.4, 1e300, math.nan, math.inf, -math.inf], [True] * 3 + [False] * 3),
        (
            "multiclass",
            [
                [0.2, 0.3, 0.5],
                [0.0, 1.0, 0.0],
                [0.2, 0.3, 0.500_01],  # float32 is no finer after some steps
                [0.2, 0.3, 0.4],
                [0.0, 0.0, 0.0],
                [-0.5, 0.5, 1.0],
                [math.nan, 0.5, 0.5],
                [math.inf, -math.inf, 1.0],
            ],
            [True] * 3 + [False] * 5,
        ),
    ],
)
def test_valid_rows_by_task(task, scores, fine):
    found = valid_rows(a_manifest(task), np.array(scores))
    assert found.tolist() == fine
    assert np.array(scores).shape == expected_shape(a_manifest(task), len(scores))
