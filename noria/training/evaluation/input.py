"""What an evaluation is made of: rows that nothing else has touched, and what a model said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from noria.core.model.decision import DecisionPolicy, Scores
from noria.inference.predictor import Predictor
from noria.training.data.dataset import Fold, TrainingSet


class ExplainableModel(Protocol):
    """A fitted model that can say what moved its scores."""

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
    """A recipe that can be cooked again on fewer rows."""

    def fit(self, rows: TrainingSet) -> ScoringModel:
        """Fit on these rows."""
        ...


@dataclass(frozen=True)
class EvaluationInput:
    """A candidate and the rows it is judged on.

    Attributes:
        fold: its validation rows are judged; its training rows are what the judged model was fitted to.
        policy: how the candidate decides.
        scores: the candidate's calibrated scores of the validation rows; ``(rows,)`` or ``(rows, classes)``.
        model: the judged model; says what moved its scores.
        pipeline: fitted again to parts of the training rows for the learning curve.
        rivals: name (`baseline`, `champion`), version and predictor of whom to compare with.
        parity: largest difference between estimator and ONNX graph.
        search_metric: what the search optimised; the learning curve shows it.
        seed: of every draw.
        note: what exactly was measured.
        calibrated_by: the calibration that did best on validation rows.
        latency_ms: milliseconds of one prediction of one row, where it was measured.
        size_mb: size of the bundle in megabytes, where it is known.
        graph_bytes: size of the ONNX graph alone; the larger the model, the fewer rows are explained. Without it the size
            of the bundle stands in.
    """

    fold: Fold
    policy: DecisionPolicy
    scores: Scores
    model: ExplainableModel
    pipeline: Refittable
    rivals: Sequence[tuple[str, str, Predictor]]
    parity: float
    search_metric: str
    seed: int
    note: str = ""
    calibrated_by: str = ""
    latency_ms: float | None = None
    size_mb: float | None = None
    graph_bytes: int | None = None
