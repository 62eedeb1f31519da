"""What moved a model's margins, column by column: SHAP values from arrays that a bundle carries, never unpickled.

A model is a sum of parts, each over some neighbouring encoded columns:

    linear   coefficient * (value - mean), which is the SHAP value where columns are taken one by one (Štrumbelj and
             Kononenko, "Explaining prediction models and individual predictions with feature contributions", 2014)
    trees    path-dependent TreeSHAP, see `noria.core.tree_shap`
    exponent turns what its columns moved of a logarithm into what they moved of the number
    anchor   multiplies what the columns before it moved, where numbers are predicted as a multiple of an anchor

A row's values and one constant of the model add up to its margin, output by output, whatever the parts.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.encoder import Matrix
from noria.core.errors import BundleError
from noria.core.tree_shap import Forest, Numbers, TreeShap

_FORMAT = 1
_NEXT_TO_NOTHING = 1e-12
_Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LinearPart:
    """A weighted sum of columns.

    Attributes:
        coefficients: shape ``(outputs, width)``.
        center: mean of each column in training; shape ``(width,)``.
        first: the first of its columns.
    """

    coefficients: Numbers
    center: Numbers
    first: int = 0

    def placed(self, first: int, weight: float) -> LinearPart:
        """The same as a member of a blend: its columns begin at `first`, and it counts by `weight`."""
        return replace(self, coefficients=weight * self.coefficients, first=self.first + first)

    def arrays(self) -> _Arrays:
        """As it is stored."""
        return {"first": np.array(self.first), "coefficients": self.coefficients, "center": self.center}

    @classmethod
    def read(cls, arrays: _Arrays) -> LinearPart:
        """From what `arrays` gave."""
        return cls(arrays["coefficients"], arrays["center"], int(arrays["first"]))


@dataclass(frozen=True, eq=False)
class TreesPart:
    """A sum of trees.

    Attributes:
        forest: the trees.
        width: number of columns that they may ask about.
        scale: what a leaf counts.
        first: the first of these columns.
    """

    forest: Forest
    width: int
    scale: float = 1.0
    first: int = 0

    def placed(self, first: int, weight: float) -> TreesPart:
        """The same as a member of a blend: its columns begin at `first`, and it counts by `weight`."""
        return replace(self, scale=weight * self.scale, first=self.first + first)

    def arrays(self) -> _Arrays:
        """As it is stored: twelve bytes a node."""
        forest = self.forest
        narrow = np.uint16 if self.width <= np.iinfo(np.uint16).max else np.uint32
        return {
            "first": np.array(self.first),
            "width": np.array(self.width),
            "scale": np.array(self.scale),
            "outputs": forest.outputs.astype(np.uint16),
            "flags": (forest.leaf + 2 * forest.missing_left).astype(np.uint8),
            "features": np.where(forest.leaf, 0, forest.features).astype(narrow),
            "values": forest.values.astype(np.float32),
            "covers": forest.covers.astype(np.float32),
        }

    @classmethod
    def read(cls, arrays: _Arrays) -> TreesPart:
        """From what `arrays` gave."""
        forest = Forest(
            outputs=arrays["outputs"],
            leaf=(arrays["flags"] & 1).astype(np.bool_),
            missing_left=(arrays["flags"] & 2).astype(np.bool_),
            features=arrays["features"],
            values=arrays["values"],
            covers=arrays["covers"],
        )
        return cls(forest, int(arrays["width"]), float(arrays["scale"]), int(arrays["first"]))


@dataclass(frozen=True, eq=False)
class AnchorPart:
    """The last of some columns, of which the number is a multiple: it multiplies what the columns before it moved.

    Attributes:
        width: number of columns, with its own.
        center: its mean in training.
        usual: the multiple of who knows nothing of a row.
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

    What moved the logarithm moved the number at one rate, the logarithmic mean of the row's number and of the number of who
    knows nothing of a row. So shares stay what they were, and all adds up (the logarithmic mean Divisia index; Ang,
    "Decomposition analysis for policymaking in energy", 2004).

    Attributes:
        width: number of columns.
        usual: the logarithm of who knows nothing of a row.
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
        """Units of the number per unit of the logarithm, where the logarithm was moved by `moved` in all."""
        start = float(np.clip(self.usual, self.low, self.high))
        way = np.clip(self.usual + moved, self.low, self.high) - start
        far = np.abs(moved) > _NEXT_TO_NOTHING
        slope = np.where(far, np.expm1(way) / np.where(far, moved, 1.0), 1.0)
        return np.asarray(self.factor * np.exp(start) * slope, dtype=np.float64)

    def apply(self, found: Numbers) -> None:
        """Turn what moved the logarithm into what moved the number, in its unit."""
        own = found[:, :, self.first : self.first + self.width]
        own *= self.rate(own.sum(axis=2) / self.weight)[:, :, None]


Part = LinearPart | TreesPart | ExponentPart | AnchorPart


class Explainer:
    """Parts made ready to explain rows.

    Args:
        parts: what the model adds up.
        outputs: number of margins of a row.
        width: number of encoded columns.

    Raises:
        ValueError: a part does not fit.
    """

    def __init__(self, parts: Sequence[Part], outputs: int, width: int) -> None:
        self._outputs, self._width = outputs, width
        self._linear = [part for part in parts if isinstance(part, LinearPart)]
        trees = [part for part in parts if isinstance(part, TreesPart)]
        self._trees = [(part, TreeShap(part.forest, part.width, outputs)) for part in trees]
        self._exponents = [part for part in parts if isinstance(part, ExponentPart)]
        self._anchors = [part for part in parts if isinstance(part, AnchorPart)]
        for part in self._linear:
            if part.coefficients.shape != (outputs, *part.center.shape) or part.center.ndim != 1:
                raise ValueError(f"coefficients of shape {part.coefficients.shape}, means of {part.center.shape}")
        wide = [(part.first, part.width) for part in parts if not isinstance(part, LinearPart)]
        for first, own in [(part.first, len(part.center)) for part in self._linear] + wide:
            if not 0 <= first <= first + own <= width:
                raise ValueError(f"columns {first} to {first + own} of {width}")

    @property
    def shape(self) -> tuple[int, int]:
        """Number of outputs and of encoded columns."""
        return self._outputs, self._width

    @property
    def steps(self) -> int:
        """What a row costs, roughly in units of five nanoseconds."""
        return sum(shap.steps for _, shap in self._trees) + self._outputs * self._width

    def contributions(self, matrix: Matrix) -> Numbers:
        """SHAP values of encoded rows; shape ``(rows, outputs, width)``."""
        found = np.zeros((len(matrix), self._outputs, self._width))
        for part in self._linear:
            own = slice(part.first, part.first + len(part.center))
            away = matrix[:, own].astype(np.float64) - part.center
            found[:, :, own] += away[:, None, :] * part.coefficients
        for trees, shap in self._trees:
            own = slice(trees.first, trees.first + trees.width)
            for into, row in zip(found, matrix, strict=True):
                into[:, own] += trees.scale * shap.contributions(row[own])
        for exponent in self._exponents:
            exponent.apply(found)
        for anchor in self._anchors:
            anchor.apply(found, matrix)
        return found


def write_explainer(parts: Sequence[Part], outputs: int, width: int) -> bytes:
    """The parts as the content of a file; the same parts give the same bytes."""
    arrays: dict[str, Any] = {"format": np.array(_FORMAT), "shape": np.array([len(parts), outputs, width])}
    for place, part in enumerate(parts):
        arrays |= {f"{place}.{name}": array for name, array in part.arrays().items()}
    content = io.BytesIO()
    np.savez(content, **arrays)  # not compressed: libraries that compress differ from machine to machine
    return content.getvalue()


def read_explainer(content: bytes) -> Explainer:
    """What `write_explainer` wrote, ready to explain.

    Raises:
        BundleError: it is something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if int(file["format"]) != _FORMAT:
                raise ValueError(f"it is of format {int(file['format'])}, this version reads {_FORMAT}")
            count, outputs, width = (int(number) for number in file["shape"])
            stored = {name: file[name] for name in file.files}
        return Explainer([_part(stored, place) for place in range(count)], outputs, width)
    except (ValueError, KeyError, IndexError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"an explainer cannot be read ({error}); train again to get another") from error


def _part(stored: _Arrays, place: int) -> Part:
    prefix = f"{place}."
    arrays = {name.removeprefix(prefix): array for name, array in stored.items() if name.startswith(prefix)}
    if "usual_log" in arrays:
        return ExponentPart.read(arrays)
    if "usual" in arrays:
        return AnchorPart.read(arrays)
    return LinearPart.read(arrays) if "coefficients" in arrays else TreesPart.read(arrays)
