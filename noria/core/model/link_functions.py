"""Links of an explanation: a part that turns what its columns moved of one thing into what they moved of another.

    anchor     numbers are predicted as a multiple of an anchor: from the multiple to the number
    exponent   a number is learnt by its logarithm: from the logarithm to the number
    logarithm  a forest gives rates: from the rate to its logarithm

Exponent and logarithm do it at one rate: the logarithmic mean of the row's own number and of the number that is predicted
without any feature. So shares stay what they were, and all adds up (the logarithmic mean Divisia index; Ang,
"Decomposition analysis for policymaking in energy", 2004).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.model.encoder_columns import Matrix
from noria.core.model.tree_shap import Numbers

_NEXT_TO_NOTHING = 1e-12
_Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class AnchorPart:
    """The last of some columns, of which the number is a multiple: it multiplies what the columns before it moved.

    Attributes:
        width: number of columns, with its own.
        center: its mean in training.
        usual: the multiple that is predicted without any feature.
        first: the first of the columns.
    """

    width: int
    center: float
    usual: float
    first: int = 0

    def placed(self, first: int, weight: float) -> AnchorPart:
        """The same as a member of a blend: its columns begin at `first`, and it counts by `weight`."""
        return replace(self, usual=weight * self.usual, first=self.first + first)

    def arrays(self) -> _Arrays:
        """As it is stored."""
        return {
            "first": np.array(self.first),
            "width": np.array(self.width),
            "center": np.array(self.center),
            "usual": np.array(self.usual),
        }

    @classmethod
    def read(cls, arrays: _Arrays) -> AnchorPart:
        """From what `arrays` gave."""
        return cls(int(arrays["width"]), float(arrays["center"]), float(arrays["usual"]), int(arrays["first"]))

    def apply(self, found: Numbers, matrix: Matrix) -> None:
        """Turn what moved the multiple into what moved the number, in its unit, and add what the anchor moved."""
        last = self.first + self.width - 1
        anchor = matrix[:, last].astype(np.float64)
        found[:, :, self.first : last] *= anchor[:, None, None]
        found[:, :, last] += ((anchor - self.center) * self.usual)[:, None]


@dataclass(frozen=True, eq=False)
class ExponentPart:
    """Some columns' parts add up to a logarithm; the number is ``factor * exp(logarithm)``.

    Attributes:
        width: number of columns.
        usual: the logarithm that is predicted without any feature.
        factor: what the exponential is multiplied by.
        low, high: the logarithm is taken for at least and at most so much.
        first: the first of the columns.
        weight: what the parts before it count by, and the number too.
    """

    width: int
    usual: float
    factor: float
    low: float
    high: float
    first: int = 0
    weight: float = 1.0

    def placed(self, first: int, weight: float) -> ExponentPart:
        """The same as a member of a blend: its columns begin at `first`, and it counts by `weight`."""
        return replace(self, weight=weight * self.weight, first=self.first + first)

    def arrays(self) -> _Arrays:
        """As it is stored."""
        own = {"usual_log": self.usual, "factor": self.factor, "low": self.low, "high": self.high, "weight": self.weight}
        return {name: np.array(value) for name, value in {"first": self.first, "width": self.width, **own}.items()}

    @classmethod
    def read(cls, arrays: _Arrays) -> ExponentPart:
        """From what `arrays` gave."""
        usual, factor, low, high, weight = (float(arrays[n]) for n in ("usual_log", "factor", "low", "high", "weight"))
        return cls(int(arrays["width"]), usual, factor, low, high, int(arrays["first"]), weight)

    def rate(self, moved: Numbers) -> Numbers:
        """Units of the number per unit of the logarithm, where `moved` is its whole change; the shape of `moved`."""
        start = float(np.clip(self.usual, self.low, self.high))
        way = np.clip(self.usual + moved, self.low, self.high) - start
        far = np.abs(moved) > _NEXT_TO_NOTHING
        slope = np.where(far, np.expm1(way) / np.where(far, moved, 1.0), 1.0)
        return np.asarray(self.factor * np.exp(start) * slope, dtype=np.float64)

    def apply(self, found: Numbers) -> None:
        """Turn what moved the logarithm into what moved the number, in its unit."""
        own = found[:, :, self.first : self.first + self.width]
        own *= self.rate(own.sum(axis=2) / self.weight)[:, :, None]


@dataclass(frozen=True, eq=False)
class LogarithmPart:
    """Some columns' parts add up to a rate for each output; the margin is ``slope * log(rate)``.

    Attributes:
        width: number of columns.
        usual: the rates that are predicted without any feature; shape ``(outputs,)``.
        slope: what the logarithm is multiplied by.
        least: a smaller rate is taken for this one.
        first: the first of the columns.
        weight: what the parts before it count by, and the margin too.
    """

    width: int
    usual: Numbers
    slope: float
    least: float
    first: int = 0
    weight: float = 1.0

    def placed(self, first: int, weight: float) -> LogarithmPart:
        """The same as a member of a blend: its columns begin at `first`, and it counts by `weight`."""
        return replace(self, weight=weight * self.weight, first=self.first + first)

    def arrays(self) -> _Arrays:
        """As it is stored."""
        own = {"slope": self.slope, "least": self.least, "weight": self.weight, "first": self.first, "width": self.width}
        return {"usual_rates": self.usual, **{name: np.array(value) for name, value in own.items()}}

    @classmethod
    def read(cls, arrays: _Arrays) -> LogarithmPart:
        """From what `arrays` gave."""
        slope, least, weight = (float(arrays[name]) for name in ("slope", "least", "weight"))
        return cls(int(arrays["width"]), arrays["usual_rates"], slope, least, int(arrays["first"]), weight)

    def apply(self, found: Numbers) -> None:
        """Turn what moved the rates into what moved the margins."""
        own = found[:, :, self.first : self.first + self.width]
        moved = own.sum(axis=2) / self.weight
        start = np.log(np.maximum(self.usual, self.least))
        way = self.slope * (np.log(np.maximum(self.usual + moved, self.least)) - start)
        far = np.abs(moved) > _NEXT_TO_NOTHING
        own *= np.where(far, way / np.where(far, moved, 1.0), self.slope / np.exp(start))[:, :, None]
