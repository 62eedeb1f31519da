"""A recipe: a kind of model and its hyperparameters, ready to be cooked on any rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from noria.core.encoder import Encoder
from noria.core.use_case import Features
from noria.training.candidate import Candidate, Effort, Params, Probabilities
from noria.training.dataset import TrainingSet
from noria.training.encoding import encode_for_training, fit_encoder


@dataclass(frozen=True)
class FittedModel:
    """An encoder and the estimator behind it."""

    candidate: Candidate
    encoder: Encoder
    estimator: Any

    def score(self, rows: TrainingSet) -> Probabilities:
        """Uncalibrated probabilities; shape ``(rows,)``."""
        return self.candidate.predict(self.estimator, self.encoder.encode_columns(rows.columns))

    def to_onnx(self) -> bytes:
        """The estimator alone, as an ONNX graph."""
        return self.candidate.to_onnx(self.estimator, self.encoder.width)


@dataclass(frozen=True)
class Recipe:
    """What the search settled on."""

    candidate: Candidate
    params: Params
    features: Features
    effort: Effort

    def fit(self, rows: TrainingSet) -> FittedModel:
        """Fit encoder and estimator; the same rows give the same model."""
        options = self.candidate.encoding(self.params)
        encoder = fit_encoder(self.features, rows, options)
        matrix = encode_for_training(encoder, rows, options)
        return FittedModel(self.candidate, encoder, self.candidate.fit(matrix, rows.labels, self.params, self.effort))
