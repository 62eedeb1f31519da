"""Contributions of the fields to a prediction, from the bundle's own explainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from noria.core.base.errors import BundleError
from noria.core.model.bundle import Manifest, sha256
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import LookupColumn, OneHotColumn
from noria.core.model.explainer import Explainer, read_explainer
from noria.core.model.tree_shap import Numbers


class FieldExplainer:
    """Explains the rows of one version.

    Args:
        manifest: of the version's bundle; it has an encoder.
        explainer: of the same bundle.
    """

    def __init__(self, manifest: Manifest, explainer: Explainer) -> None:
        self._explainer = explainer
        self._encoder = manifest.encoder or Encoder(columns=())
        self._centred = manifest.task.is_multiclass
        self.fields = tuple(dict.fromkeys(column.name for column in self._encoder.columns))
        """The fields that the model reads, in the order of `contributions`."""
        index = {name: number for number, name in enumerate(self.fields)}
        feeds = np.array(
            [index[column.name] for column in self._encoder.columns for _ in range(column.width)], dtype=np.intp
        )
        self._sums = (feeds[:, None] == np.arange(len(self.fields))).astype(np.float64)

    @property
    def steps(self) -> int:
        """Cost of one row, see `Explainer.steps`."""
        return self._explainer.steps

    def contributions(self, rows: Sequence[Mapping[str, Any]]) -> Numbers:
        """SHAP values of the fields, summed over their encoded columns; shape ``(rows, outputs, fields)``.

        Log odds of yes before calibration, or the label's unit. For several classes the log weight of each class against
        the mean of all (the centred log ratio of Aitchison, 1982): raising all classes alike changes no probability.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            shap = self._explainer.contributions(self._encoder.encode_rows(rows)) @ self._sums
            if self._centred:
                shap -= shap.mean(axis=1, keepdims=True)
        return np.asarray(np.nan_to_num(shap), dtype=np.float64)

    def knows(self, field: str, value: str) -> bool:
        """Whether the training rows had a value of a categorical field; True for a numeric field."""
        categories = self._categories.get(field)
        return categories is None or value in categories

    @cached_property
    def _categories(self) -> Mapping[str, frozenset[str]]:
        columns = self._encoder.columns
        lookups = {column.name: frozenset(column.values) for column in columns if isinstance(column, LookupColumn)}
        return lookups | {
            column.name: frozenset(column.categories) for column in columns if isinstance(column, OneHotColumn)
        }


def load_explainer(path: Path, manifest: Manifest) -> FieldExplainer:
    """Read a bundle's explainer.

    Args:
        path: the file.
        manifest: of the bundle; has the checksum of the file.

    Raises:
        BundleError: the file is missing, altered, or of another model.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); fetch the bundle again") from error
    if (actual := sha256(content)) != (expected := manifest.files.get(path.name)):
        raise BundleError(f"{path}: SHA-256 is {actual}, the manifest says {expected}; fetch the bundle again")
    explainer = read_explainer(content)
    outputs = len(manifest.classes) if manifest.task.is_multiclass else 1
    width = manifest.encoder.width if manifest.encoder else 0
    if explainer.shape != (outputs, width):
        raise BundleError(f"{path}: explains {explainer.shape} outputs and columns, the model has {(outputs, width)}")
    return FieldExplainer(manifest, explainer)
