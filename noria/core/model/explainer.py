"""Contributions to a model's margins, column by column: SHAP values from arrays that a bundle carries, never unpickled.

A model is a sum of parts, each over some neighbouring encoded columns:

    linear   coefficient * (value - mean), which is the SHAP value where columns are taken one by one (Štrumbelj and
             Kononenko, "Explaining prediction models and individual predictions with feature contributions", 2014)
    trees    path-dependent TreeSHAP, see `noria.core.model.tree_shap`
    links    turn what their columns moved of something else into what they moved of the margin: see
             `noria.core.model.link_functions`

A row's values and one constant of the model add up to its margin, output by output, for all kinds of parts.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.base.errors import BundleError
from noria.core.model.encoder_columns import Matrix
from noria.core.model.link_functions import AnchorPart, ExponentPart, LogarithmPart
from noria.core.model.tree_shap import Forest, Numbers, TreeShap

_FORMAT = 1
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


ExplainerPart = LinearPart | TreesPart | ExponentPart | LogarithmPart | AnchorPart


class Explainer:
    """Parts made ready to explain rows.

    Args:
        parts: what the model adds up.
        outputs: number of margins of a row.
        width: number of encoded columns.

    Raises:
        ValueError: a part does not fit.
    """

    def __init__(self, parts: Sequence[ExplainerPart], outputs: int, width: int) -> None:
        self._outputs, self._width = outputs, width
        self._linear = [part for part in parts if isinstance(part, LinearPart)]
        trees = [part for part in parts if isinstance(part, TreesPart)]
        self._trees = [(part, TreeShap(part.forest, part.width, outputs)) for part in trees]
        self._logs = [part for part in parts if isinstance(part, ExponentPart | LogarithmPart)]
        self._anchors = [part for part in parts if isinstance(part, AnchorPart)]
        for part in parts:
            if isinstance(part, LogarithmPart) and part.usual.shape != (outputs,):
                raise ValueError(f"rates of shape {part.usual.shape}, {outputs} outputs")
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
        """Cost of a row, roughly in units of five nanoseconds."""
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
        for log in self._logs:
            log.apply(found)
        for anchor in self._anchors:
            anchor.apply(found, matrix)
        return found


def write_explainer(parts: Sequence[ExplainerPart], outputs: int, width: int) -> bytes:
    """The parts as the content of a file; the same parts give the same bytes."""
    arrays: dict[str, Any] = {"format": np.array(_FORMAT), "shape": np.array([len(parts), outputs, width])}
    for place, part in enumerate(parts):
        arrays |= {f"{place}.{name}": array for name, array in part.arrays().items()}
    content = io.BytesIO()
    np.savez(content, **arrays)  # not compressed: libraries that compress differ from machine to machine
    return content.getvalue()


def read_explainer(content: bytes) -> Explainer:
    """An explainer read from the files of `write_explainer`.

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


def _part(stored: _Arrays, place: int) -> ExplainerPart:
    prefix = f"{place}."
    arrays = {name.removeprefix(prefix): array for name, array in stored.items() if name.startswith(prefix)}
    if "usual_log" in arrays:
        return ExponentPart.read(arrays)
    if "usual_rates" in arrays:
        return LogarithmPart.read(arrays)
    if "usual" in arrays:
        return AnchorPart.read(arrays)
    return LinearPart.read(arrays) if "coefficients" in arrays else TreesPart.read(arrays)
