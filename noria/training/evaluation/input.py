"""Input of an evaluation: an evaluated model, its scores of rows that nothing else has used, and its references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from noria.core.model.decision import DecisionPolicy, Scores
from noria.inference.predictor import Predictor
from noria.training.data.dataset import Fold, TrainingSet


class ExplainableModel(Protocol):
    """A fitted model that can explain its scores."""

    def contributions(self, rows: TrainingSet) -> Scores:
        """SHAP values; shape ``(rows, features)``, features in the order of `use_case.features.names`.

        Log odds of yes, of the highest scored class, or the label's unit.
        """
        ...


class ScoringModel(Protocol):
    """A fitted model that can score rows."""

    def score(self, rows: TrainingSet) -> Scores:
        """Uncalibrated scores; shape ``(rows,)`` or ``(rows, classes)``."""
        ...


class Refittable(Protocol):
    """A pipeline that can be fitted again to fewer rows."""

    def fit(self, rows: TrainingSet) -> ScoringModel:
        """Fit to these rows."""
        ...


@dataclass(frozen=True, eq=False)
class EvaluationInput:
    """A candidate and the rows it is evaluated on.

    Attributes:
        fold: the evaluated rows (validation), and the rows that the evaluated model was fitted to (training).
        pipeline: fitted again to parts of the training rows for the learning curve.
        model: the evaluated model; explains its scores.
        policy: turns the candidate's scores into decisions.
        scores: the candidate's calibrated scores of the validation rows; shape ``(rows,)`` or ``(rows, classes)``.
        references: name (`baseline`, `champion`), version and predictor of each reference model.
        calibrated_by: the calibration that was best on validation rows.
        note: what exactly was measured.
    """

    fold: Fold
    pipeline: Refittable
    model: ExplainableModel
    policy: DecisionPolicy
    scores: Scores
    references: Sequence[tuple[str, str, Predictor]]
    calibrated_by: str = ""
    note: str = ""


@dataclass(frozen=True)
class ExportFacts:
    """Measurements of the exported model.

    Attributes:
        parity: largest difference between the fitted model and its ONNX graph.
        size_mb: size of the bundle in megabytes; None if unknown.
        graph_bytes: size of the ONNX graph; larger models explain fewer rows. None takes the size of the bundle.
        latency_ms: milliseconds to score one row; None if not measured.
    """

    parity: float
    size_mb: float | None = None
    graph_bytes: int | None = None
    latency_ms: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The measurements by the names that gates use; unknown ones are left out.

        Example:
            >>> ExportFacts(parity=1e-7, size_mb=1.5).metrics
            {'parity': 1e-07, 'size_mb': 1.5}
        """
        measured = {"parity": self.parity, "latency_ms": self.latency_ms, "size_mb": self.size_mb}
        return {name: number for name, number in measured.items() if number is not None}
