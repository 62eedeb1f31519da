"""Pipelines: an encoder and a kind of model with its hyperparameters, or a blend of several, ready to be fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Scores
from noria.core.model.encoder import Encoder
from noria.core.use_case import Features
from noria.training.data.dataset import TrainingSet
from noria.training.data.encoding import encode, encode_for_training, fit_encoder
from noria.training.data.parquet_columns import MOST_IN_MEMORY
from noria.training.data.sampling import even_sample
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Estimator, FitContext, Params
from noria.training.models.base.margin import FittedEstimator, MarginModel
from noria.training.models.blend import BlendedModel, BlendMember
from noria.training.models.catalog import make_estimator
from noria.training.models.trees.boosting_objective import aim_of
from noria.training.models.trees.external_memory import EncodedBatches, FitsBatches, is_stored


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted encoder and a fitted model.

    Attributes:
        target: what is predicted.
        encoder: turns rows into a matrix.
        estimator: predicts margins of encoded rows.
        features: names, in the order of the use case.
    """

    target: PredictionTarget
    encoder: Encoder
    estimator: FittedEstimator
    features: tuple[str, ...]

    def score(self, rows: TrainingSet) -> Scores:
        """Uncalibrated scores; shape ``(rows,)``, for multiclass ``(rows, classes)``."""
        return MarginModel(self.target).predict(self.estimator, encode(self.encoder, rows))

    def contributions(self, rows: TrainingSet) -> npt.NDArray[np.float64]:
        """Exact SHAP values by feature; shape ``(rows, features)``.

        In log odds of yes, of the class with the highest score against the mean of all classes (multiclass), or in the
        label's unit. The encoded columns of a feature are added up.
        """
        matrix = encode(self.encoder, rows)
        shap = MarginModel(self.target).contributions(self.estimator, matrix)
        if self.target.task.is_multiclass:
            highest = self.estimator.margins(matrix).argmax(axis=1)
            shap = shap[np.arange(len(shap)), highest] - shap.mean(axis=1)  # raising all classes alike changes nothing
        return _by_feature(shap, self.encoder, self.features)

    def to_onnx(self) -> bytes:
        """The model without its encoder, as an ONNX graph."""
        return MarginModel(self.target).to_onnx(self.estimator, self.encoder.width)


@dataclass(frozen=True)
class Pipeline:
    """A kind of model with its hyperparameters, ready to be fitted.

    Attributes:
        candidate: name of the kind of model, or `blend`.
        params: hyperparameters and fitted parameters.
        features: columns that it uses.
        context: seed, threads and cluster.
        target: what is predicted.
        members: models that a blend averages; empty otherwise.
        most_in_memory: most training rows of a kind that needs all rows in memory.
    """

    candidate: str
    params: Params
    features: Features
    context: FitContext
    target: PredictionTarget
    members: tuple[BlendMember, ...] = ()
    most_in_memory: int = MOST_IN_MEMORY

    @property
    def aims(self) -> tuple[tuple[float, float | None], ...]:
        """Regression: share of each part of the model, and the quantile that it predicts, or None for the mean."""
        if self.members:
            return tuple((one.weight, aim_of(self.target, one.params)) for one in self.members)
        return ((1.0, aim_of(self.target, self.params)),)

    def fit(self, rows: TrainingSet) -> FittedPipeline:
        """Fit encoder and model; the same rows give the same result.

        Raises:
            NotEnoughDataError: the anchor gives no number for any row.
            SettingsError: the cluster does not answer.
        """
        if not self.members:
            return _fit(self, make_estimator(self.candidate, self.target), self.params, rows)
        fitted = [_fit(self, make_estimator(one.candidate, self.target), one.params, rows) for one in self.members]
        columns = tuple(column for model in fitted for column in model.encoder.columns)
        blended = BlendedModel(
            estimators=tuple(model.estimator for model in fitted),
            widths=tuple(model.encoder.width for model in fitted),
            weights=tuple(one.weight for one in self.members),
        )
        return FittedPipeline(self.target, Encoder(columns=columns), blended, self.features.names)


def _fit(pipeline: Pipeline, kind: Estimator, params: Params, rows: TrainingSet) -> FittedPipeline:
    options = kind.encoding(params)
    encoder = fit_encoder(pipeline.features, rows, options)
    context = pipeline.context
    if isinstance(kind, FitsBatches) and (context.cluster or is_stored(rows)):
        estimator = kind.fit_batches(EncodedBatches.of(encoder, rows, options), rows.labels, params, context)
    else:
        some = even_sample(rows, pipeline.most_in_memory)
        estimator = kind.fit(encode_for_training(encoder, some, options), some.labels, params, context)
    return FittedPipeline(pipeline.target, encoder, estimator, pipeline.features.names)


def _by_feature(shap: npt.NDArray[np.float64], encoder: Encoder, features: tuple[str, ...]) -> npt.NDArray[np.float64]:
    index: Mapping[str, int] = {name: number for number, name in enumerate(features)}
    summed = np.zeros((len(shap), len(features)))
    position = 0
    for column in encoder.columns:
        summed[:, index[column.name]] += shap[:, position : position + column.width].sum(axis=1)
        position += column.width
    return summed
