"""Predictors: the same scores for the parity check of training, batch scoring and REST."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from noria.core.base.errors import BundleError
from noria.core.model.bundle import EXPLAINER, MODEL, Manifest, baseline_manifest
from noria.core.model.encoder_columns import Matrix
from noria.core.use_case import UseCase
from noria.core.use_case.rule import Rule
from noria.inference.explanation import FieldExplainer, load_explainer
from noria.inference.onnx_session import OnnxSession
from noria.io.bundle_files import read_golden, read_manifest

Scores = npt.NDArray[np.float64]
PARITY = 1e-5


class Predictor(Protocol):
    """Scores rows: probabilities of yes or numbers, shape ``(rows,)``, or probabilities, shape ``(rows, classes)``."""

    manifest: Manifest

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """Scores of a few rows given as mappings; shape ``(rows,)`` or ``(rows, classes)``."""
        ...

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Scores of many rows given as equally long columns; shape ``(rows,)`` or ``(rows, classes)``."""
        ...


class RulePredictor:
    """The baseline: the value of its expression, as a probability of 0 or 1, or as a number."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._rule = Rule(manifest.rule or "")

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """Scores of a few rows given as mappings; shape ``(rows,)`` or ``(rows, classes)``."""
        return self._scores([self._rule.value(row) for row in rows])

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Scores of many rows given as equally long columns; shape ``(rows,)`` or ``(rows, classes)``."""
        rows = len(next(iter(columns.values()))) if columns else 0
        return self._scores(self._rule.values(columns, rows))

    def _scores(self, values: Sequence[Any]) -> Scores:
        if self.manifest.task.is_regression:
            return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        if self.manifest.task.is_multiclass:
            classes = self.manifest.classes
            return np.array([[float(value == name) for name in classes] for value in values], dtype=np.float64)
        return np.array([value is True for value in values], dtype=np.float64)


def score_for_comparison(predictor: Predictor, columns: Mapping[str, Sequence[Any]]) -> Scores:
    """Scores of rows that another model is compared on.

    A number that a missing feature leaves open is the one that the baseline gives when everything is missing: one such row
    would leave every metric undefined. Serving refuses it instead, and names what is missing.
    """
    scores = predictor.score_columns(columns)
    if predictor.manifest.kind != "rule" or not predictor.manifest.task.is_regression:
        return scores
    empty = Rule(predictor.manifest.rule or "").value({})
    default = float(empty) if isinstance(empty, int | float) else math.nan
    return np.where(np.isfinite(scores), scores, default)


class OnnxPredictor:
    """A trained model: encode, run the ONNX graph, calibrate.

    Args:
        manifest: of the bundle.
        graph: the bundle's ONNX graph.
        explainer: the bundle's explainer file, read at first use; None if the bundle has none.

    Raises:
        BundleError: the manifest has no encoder, or the graph cannot be loaded.
    """

    def __init__(self, manifest: Manifest, graph: bytes, explainer: Path | None = None) -> None:
        if manifest.encoder is None:
            raise BundleError(f"bundle of {manifest.use_case}: an ONNX model needs an encoder; make the bundle again")
        self.manifest = manifest
        self._encoder = manifest.encoder
        self._explainer_file = explainer
        self._session = OnnxSession(graph)
        self._score_index = 1 if manifest.task.is_binary else 0
        """Position of a single row's score in the output of the graph."""

    @cached_property
    def explainer(self) -> FieldExplainer | None:
        """Explainer of the predictions; None if the bundle has none.

        Raises:
            BundleError: the file is missing or altered.
        """
        return None if self._explainer_file is None else load_explainer(self._explainer_file, self.manifest)

    @property
    def explains_at_once(self) -> bool:
        """Whether the explainer is in memory already."""
        return "explainer" in self.__dict__

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """Scores of a few rows given as mappings; shape ``(rows,)`` or ``(rows, classes)``."""
        return self.score_matrix(self._encoder.encode_rows(rows))

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Scores of many rows given as equally long columns; shape ``(rows,)`` or ``(rows, classes)``."""
        return self.score_matrix(self._encoder.encode_columns(columns))

    def score_row(self, row: Mapping[str, Any]) -> float:
        """Score of one row, the same bits as `score_rows`, without arrays; not for several classes."""
        output = self._session.run(self._encoder.encode_rows((row,)))
        return self.manifest.calibration.apply_one(output.item(self._score_index))

    def score_matrix(self, encoded: Matrix) -> Scores:
        """Scores of encoded rows; shape ``(rows,)`` or ``(rows, classes)``."""
        output = np.asarray(self._session.run(encoded), dtype=np.float64)
        return self.manifest.calibration.apply(self._raw(output))

    def _raw(self, output: Scores) -> Scores:
        """Output of the graph in the shape of the task."""
        if self.manifest.task.is_regression:
            return output.reshape(len(output))
        return output if self.manifest.task.is_multiclass else output[:, 1]


def load_predictor(folder: Path, digest: str | None = None) -> Predictor:
    """Load a bundle, after checking its checksums and replaying its golden requests.

    Args:
        folder: of the bundle.
        digest: of the bundle, from the registry; None to skip that check.

    Raises:
        BundleError: the bundle is incomplete or altered, or gives other scores than when it was made.
    """
    manifest = read_manifest(folder, digest)
    predictor: Predictor
    if manifest.kind == "rule":
        predictor = RulePredictor(manifest)
    elif MODEL in manifest.files:
        explainer = folder / EXPLAINER if EXPLAINER in manifest.files else None
        predictor = OnnxPredictor(manifest, (folder / MODEL).read_bytes(), explainer)
    else:
        raise BundleError(f"{folder}: has no {MODEL}; make the bundle again")
    _replay_golden(folder, predictor)
    return predictor


def baseline_predictor(use_case: UseCase) -> Predictor:
    """Predictor of the baseline of a use case."""
    return RulePredictor(baseline_manifest(use_case))


def _replay_golden(folder: Path, predictor: Predictor) -> None:
    try:
        golden = read_golden(folder)
        if not golden:
            return
        scores = predictor.score_rows([request.instance for request in golden])
    except Exception as error:  # anything that a graph or a golden file can make fail
        raise BundleError(f"{folder}: golden requests cannot be replayed ({error}); make the bundle again") from error
    expected = np.array([request.score for request in golden], dtype=np.float64)
    if scores.shape != expected.shape:
        raise BundleError(f"{folder}: golden requests give {scores.shape} scores, expected {expected.shape}; make it again")
    differences = np.abs(scores - expected) / np.maximum(1.0, np.abs(expected))  # relative where numbers are large
    worst = int(np.argmax(differences.reshape(len(golden), -1).max(axis=1)))
    if not differences[worst].max() <= PARITY:
        raise BundleError(
            f"{folder}: golden request {worst} gives {_shown(scores[worst])}, it gave {_shown(expected[worst])} when the "
            "bundle was made; the runtime differs from the one it was made with"
        )


def _shown(score: Any) -> str:
    return ", ".join(f"{number:.6f}" for number in np.atleast_1d(score))
