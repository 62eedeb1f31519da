"""Turns a model's scores into probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict


class Calibration(BaseModel):
    """A non-decreasing piecewise linear map from score to probability; identity when it has no points.

    Isotonic regression is of this form exactly; its points are fitted by `noria.training` on validation data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def apply(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities of scores, same shape."""
        if not self.scores:
            return scores
        return np.interp(scores, self.scores, self.probabilities)
