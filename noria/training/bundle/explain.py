"""The explainer file of a bundle, checked against the contributions of the model's own library."""

from __future__ import annotations

import numpy as np

from noria.core.base.errors import BundleError
from noria.core.model.explainer import read_explainer, write_explainer
from noria.training.bundle.export import with_gaps
from noria.training.data.dataset import TrainingSet
from noria.training.data.encoding import encode
from noria.training.data.sampling import even_sample
from noria.training.fit.pipeline import FittedPipeline

TOLERANCE = 1e-4
"""Allowed difference as a share of the largest contribution: XGBoost sums in float32."""
CHECKED_ROWS = 20
"""Half of them as they are, half with gaps; a large forest takes hundredths of a second per row in XGBoost."""


def explainer_file(model: FittedPipeline, rows: TrainingSet, seed: int) -> bytes:
    """The content of a bundle's explainer.

    Args:
        model: the shipped model.
        rows: rows to check it on.
        seed: draws the gaps.

    Raises:
        BundleError: its contributions differ from those of the model's own library; it must not be served.
    """
    content = write_explainer(model.estimator.explained(), model.target.outputs, model.encoder.width)
    some = even_sample(rows, CHECKED_ROWS // 2)
    matrix = np.concatenate([encode(model.encoder, part) for part in (some, with_gaps(some, seed))])
    expected, explained = model.estimator.contributions(matrix), read_explainer(content).contributions(matrix)
    worst = float(np.max(np.abs(expected - explained), initial=0.0))
    allowed = TOLERANCE * float(np.max(np.abs(expected), initial=0.0))
    if not worst <= allowed:
        raise BundleError(
            f"the explainer differs by {worst:.2g} from the contributions of the model it was made of (allowed: "
            f"{allowed:.2g}); nothing is registered. Check the version of xgboost against uv.lock"
        )
    return content
