"""One predictor for training's parity gate, batch scoring and REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from noria.core.bundle import MODEL, Manifest, baseline_manifest, read_golden, read_manifest
from noria.core.encoder import Matrix
from noria.core.errors import BundleError
from noria.core.rule import Rule
from noria.core.use_case import UseCase

Scores = npt.NDArray[np.float64]
PARITY = 1e-5


class Predictor(Protocol):
    """Gives the probability of the positive class."""

    manifest: Manifest

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """Probabilities of a few rows given as mappings; shape ``(rows,)``."""
        ...

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Probabilities of many rows given as equally long columns; shape ``(rows,)``."""
        ...


class RulePredictor:
    """Version 0: 1 where the rule holds, else 0."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._rule = Rule(manifest.rule or "")

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """Probabilities of a few rows given as mappings; shape ``(rows,)``."""
        return np.array([self._rule.score(row) for row in rows], dtype=np.float64)

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Probabilities of many rows given as equally long columns; shape ``(rows,)``."""
        return self._rule.score_columns(columns)


class OnnxPredictor:
    """A trained model: encode, run the ONNX graph, calibrate."""

    def __init__(self, manifest: Manifest, graph: bytes) -> None:
        if manifest.encoder is None:
            raise BundleError(f"bundle of {manifest.use_case}: an ONNX model needs an encoder; make the bundle again")
        self.manifest = manifest
        self._encoder = manifest.encoder
        self._session = _open_session(graph)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[-1].name

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Scores:
        """Probabilities of a few rows given as mappings; shape ``(rows,)``."""
        return self.score_matrix(self._encoder.encode_rows(rows))

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Probabilities of many rows given as equally long columns; shape ``(rows,)``."""
        return self.score_matrix(self._encoder.encode_columns(columns))

    def score_matrix(self, encoded: Matrix) -> Scores:
        """Probabilities of encoded rows; shape ``(rows,)``."""
        (probabilities,) = self._session.run([self._output], {self._input: encoded})
        return self.manifest.calibration.apply(np.asarray(probabilities[:, 1], dtype=np.float64))


def load_predictor(folder: Path, digest: str | None = None) -> Predictor:
    """Load a bundle, after checking its checksums and replaying its golden requests.

    Args:
        folder: where the bundle is.
        digest: what the registry says the bundle's digest is; None to skip that check.

    Raises:
        BundleError: the bundle is incomplete or altered, or gives other scores than when it was made.
    """
    manifest = read_manifest(folder, digest)
    predictor: Predictor
    if manifest.kind == "rule":
        predictor = RulePredictor(manifest)
    elif MODEL in manifest.files:
        predictor = OnnxPredictor(manifest, (folder / MODEL).read_bytes())
    else:
        raise BundleError(f"{folder}: has no {MODEL}; make the bundle again")
    _replay_golden(folder, predictor)
    return predictor


def baseline_predictor(use_case: UseCase) -> Predictor:
    """Version 0 of a use case."""
    return RulePredictor(baseline_manifest(use_case))


def _replay_golden(folder: Path, predictor: Predictor) -> None:
    try:
        golden = read_golden(folder)
        if not golden:
            return
        found = predictor.score_rows([request.instance for request in golden])
    except Exception as error:  # whatever a graph or a golden file can make fail
        raise BundleError(f"{folder}: golden requests cannot be replayed ({error}); make the bundle again") from error
    expected = np.array([request.score for request in golden])
    worst = int(np.argmax(np.abs(found - expected)))
    if not abs(found[worst] - expected[worst]) <= PARITY:
        raise BundleError(
            f"{folder}: golden request {worst} gives {found[worst]:.6f}, it gave {expected[worst]:.6f} when the bundle "
            "was made; the runtime differs from the one it was made with"
        )


def _open_session(graph: bytes) -> Any:
    import onnxruntime  # not at import time: a rule needs none of it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise BundleError(f"the ONNX graph cannot be loaded ({error}); make the bundle again") from error
