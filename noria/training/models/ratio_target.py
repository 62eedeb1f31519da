"""Regression of the ratio of a label to an anchor: an expression over features, such as the price a year ago.

The model then learns how a row differs from its anchor, which stays much the same while the anchor changes with the season.
The anchor is one more column of the encoder, a `noria.core.model.encoder_columns.RuleColumn`, always the last one. The inner
model sees the columns before it and learns ``label / anchor``; predictions are multiplied by the anchor in float64, in the
fitted model and in its ONNX graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import ExplainerPart
from noria.core.model.link_functions import AnchorPart
from noria.training.data.encoding import EncodingOptions, encode
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import EncodedRows, Estimator, FitContext, FitData, OnRound, Params
from noria.training.models.base.margin import FittedEstimator, MarginModel, Margins
from noria.training.models.base.onnx_graph import INPUT, GraphPart, as_double, columns, constant, node, reading
from noria.training.models.trees.external_memory import EncodedBatches, FitsBatches

if TYPE_CHECKING:
    import optuna

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RatioTargetModel:
    """A fitted model of ratios, as a model of the label.

    Attributes:
        ratio: predicts the ratio from the columns before the last one.
        width: number of encoded columns, with the anchor.
        center: mean anchor in training, the reference of contributions.
    """

    ratio: FittedEstimator
    width: int
    center: float

    def margins(self, matrix: Matrix) -> Margins:
        """Predicted labels of encoded rows; shape ``(rows, 1)``."""
        return np.asarray(_anchor(matrix)[:, None] * self.ratio.margins(_before(matrix)), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> _Numbers:
        """Contributions in the label's unit; shape ``(rows, 1, width)``.

        SHAP values of the ratio, multiplied by the row's anchor; for the anchor itself its distance from the mean,
        multiplied by the expected ratio. A row's values and one constant add up to its prediction.
        """
        anchor = _anchor(matrix)
        scaled = self.ratio.contributions(_before(matrix)) * anchor[:, None, None]
        own = (anchor - self.center) * self._expected
        return np.concatenate([scaled, own[:, None, None]], axis=2)

    def explained(self) -> tuple[ExplainerPart, ...]:
        """Explainer parts of the model of ratios, followed by the anchor."""
        return (*self.ratio.explained(), AnchorPart(self.width, self.center, self._expected))

    @cached_property
    def _expected(self) -> float:
        """Expected prediction (SHAP base value) of the model of ratios."""
        row = np.zeros((1, self.width - 1), dtype=np.float32)
        return float(self.ratio.margins(row)[0, 0] - self.ratio.contributions(row).sum())

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to predicted labels."""
        before = columns(0, self.width - 1, f"{name}_before")
        read = reading(self.ratio.part(f"{name}_multiple"), before.output)
        last = constant(f"{name}_last", np.array([self.width - 1], dtype=np.int64))
        nodes = (
            node("Gather", [INPUT, last.name], f"{name}_anchor", axis=1),
            as_double(f"{name}_anchor", f"{name}_exact_anchor"),
            node("Mul", [read.output, f"{name}_exact_anchor"], f"{name}_margins"),
        )
        return GraphPart((*before.nodes, *read.nodes, *nodes), (*before.constants, *read.constants, last), f"{name}_margins")


class RatioTargetEstimator(MarginModel):
    """A kind of model that learns the ratio to the anchor.

    Args:
        inner: the kind of model.
        target: what is predicted; has an anchor.
    """

    def __init__(self, inner: Estimator, target: PredictionTarget) -> None:
        super().__init__(target)
        self._inner = inner

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        return self._inner.defaults

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Other hyperparameters to try before any are drawn."""
        return self._inner.warm_start_points

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return self._inner.suggest(trial)

    def encoding(self, params: Params) -> EncodingOptions:
        """Encoding of the inner kind of model, with the anchor as last column."""
        return replace(self._inner.encoding(params), target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> RatioTargetModel:
        """Fit a model; the same arguments give the same model."""
        anchor = _anchor(matrix)
        return _around(self._inner.fit(_before(matrix), labels / anchor, params, context), anchor, matrix.shape[1])

    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[RatioTargetModel, Params]:
        """Fit with validation rows; `on_round` gets the metric of the label, not of the ratio."""
        anchor, later = _anchor(data.training.matrix), _anchor(data.validation.matrix)
        ratios = FitData(
            training=_ratios(data.training, anchor),
            validation=_ratios(data.validation, later),
            metric=lambda _ratios, scores: data.metric(data.validation.labels, scores * later),
        )
        inner, fitted_params = self._inner.fit_with_validation(ratios, params, context, on_round)
        return _around(inner, anchor, data.training.matrix.shape[1]), fitted_params


class RatioTargetInBatches(RatioTargetEstimator):
    """As `RatioTargetEstimator`, also for rows that are never in memory as a whole."""

    def __init__(self, inner: Estimator, batched: FitsBatches, target: PredictionTarget) -> None:
        super().__init__(inner, target)
        self._batched = batched

    def fit_batches(self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext) -> RatioTargetModel:
        """Fit a model; the same arguments give the same model, except on a cluster."""
        *before, last = batches.encoder.columns
        width, alone = batches.encoder.width, Encoder(columns=(last,))
        anchor = np.concatenate([_anchor(encode(alone, batches.part(part))) for part in batches.slices])
        without = replace(batches, encoder=Encoder(columns=tuple(before)))
        return _around(self._batched.fit_batches(without, labels / anchor, params, context), anchor, width)


def ratio_to_anchor(inner: Estimator, target: PredictionTarget) -> Estimator:
    """The kind of model, learning the ratio to the anchor of the target."""
    return (
        RatioTargetInBatches(inner, inner, target) if isinstance(inner, FitsBatches) else RatioTargetEstimator(inner, target)
    )


def _around(ratio: FittedEstimator, anchor: _Numbers, width: int) -> RatioTargetModel:
    return RatioTargetModel(ratio, width, float(np.mean(anchor)))


def _anchor(matrix: Matrix) -> _Numbers:
    return matrix[:, -1].astype(np.float64)


def _ratios(rows: EncodedRows, anchor: _Numbers) -> EncodedRows:
    return EncodedRows(_before(rows.matrix), rows.labels / anchor)


def _before(matrix: Matrix) -> Matrix:
    return np.ascontiguousarray(matrix[:, :-1])
