"""Numbers predicted as a multiple of what an expression says of the same row, such as last year's price for the same month.

What a model has to learn is then how a row differs from what is usual for it, which stays much the same while the usual
itself goes up and down with the season. The expression is one more column of the encoder, a
`noria.core.model.encoder.RuleColumn`, always the last one: the kind of model inside sees the columns before it and learns
``label / anchor``; the column is multiplied back in float64, in the estimator as in its ONNX graph.
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
    """A fitted model of multiples.

    Attributes:
        multiple: gives the multiple from the columns before the last one.
        width: number of columns, with the anchor's.
        center: mean anchor in training; contributions are held against it.
    """

    multiple: FittedEstimator
    width: int
    center: float

    def margins(self, matrix: Matrix) -> Margins:
        """Numbers of encoded rows; shape ``(rows, 1)``."""
        return np.asarray(_anchor(matrix)[:, None] * self.multiple.margins(_before(matrix)), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> _Numbers:
        """What the columns moved, in the label's unit; shape ``(rows, 1, width)``.

        The SHAP values of the multiple, each times the row's anchor; and for the anchor how far it is from its mean, times
        the multiple of who knows nothing of a row. A row's values and one constant add up to its number.
        """
        anchor = _anchor(matrix)
        moved = self.multiple.contributions(_before(matrix)) * anchor[:, None, None]
        own = (anchor - self.center) * self._usual
        return np.concatenate([moved, own[:, None, None]], axis=2)

    def explained(self) -> tuple[ExplainerPart, ...]:
        """The model of multiples and the anchor behind its columns, to explain rows without this library."""
        return (*self.multiple.explained(), AnchorPart(self.width, self.center, self._usual))

    @cached_property
    def _usual(self) -> float:
        """The multiple of who knows nothing of a row: what is left of any row's when all that moved it is taken away."""
        row = np.zeros((1, self.width - 1), dtype=np.float32)
        return float(self.multiple.margins(row)[0, 0] - self.multiple.contributions(row).sum())

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to numbers."""
        place = columns(0, self.width - 1, f"{name}_before")
        own = self.multiple.part(f"{name}_multiple")
        read = reading(own, place.output)
        last = constant(f"{name}_last", np.array([self.width - 1], dtype=np.int64))
        nodes = (
            node("Gather", [INPUT, last.name], f"{name}_anchor", axis=1),
            as_double(f"{name}_anchor", f"{name}_exact_anchor"),
            node("Mul", [read.output, f"{name}_exact_anchor"], f"{name}_margins"),
        )
        return GraphPart((*place.nodes, *read.nodes, *nodes), (*place.constants, *read.constants, last), f"{name}_margins")


class RatioTargetEstimator(MarginModel):
    """A kind of model that learns multiples of the anchor.

    Args:
        inner: the kind of model.
        goal: what is predicted; has an anchor.
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
        """Other hyperparameters that are worth a trial before any are drawn."""
        return self._inner.warm_start_points

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        return self._inner.suggest(trial)

    def encoding(self, params: Params) -> EncodingOptions:
        """As the kind of model wants its rows, and the anchor behind them."""
        return replace(self._inner.encoding(params), target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> RatioTargetModel:
        """Fit an estimator; the same arguments give the same estimator."""
        anchor = _anchor(matrix)
        return _around(self._inner.fit(_before(matrix), labels / anchor, params, context), anchor, matrix.shape[1])

    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[RatioTargetModel, Params]:
        """Fit with an eye on later rows, ; `on_round` gets the metric of numbers, not of ratios."""
        anchor, later = _anchor(data.training.matrix), _anchor(data.validation.matrix)
        ratios = FitData(
            training=_ratios(data.training, anchor),
            validation=_ratios(data.validation, later),
            metric=lambda _ratios, scores: data.metric(data.validation.labels, scores * later),
        )
        inner, fitted_params = self._inner.fit_with_validation(ratios, params, context, on_round)
        return _around(inner, anchor, data.training.matrix.shape[1]), fitted_params


class RatioTargetInBatches(RatioTargetEstimator):
    """A kind of model that learns multiples of the anchor, also from rows that it never sees as a whole."""

    def __init__(self, inner: Estimator, batched: FitsBatches, target: PredictionTarget) -> None:
        super().__init__(inner, target)
        self._batched = batched

    def fit_batches(self, batches: EncodedBatches, labels: Labels, params: Params, context: FitContext) -> RatioTargetModel:
        """Fit an estimator; the same arguments give the same estimator, except on a cluster."""
        *before, last = batches.encoder.columns
        width, alone = batches.encoder.width, Encoder(columns=(last,))
        anchor = np.concatenate([_anchor(encode(alone, batches.part(part))) for part in batches.slices])
        without = replace(batches, encoder=Encoder(columns=tuple(before)))
        return _around(self._batched.fit_batches(without, labels / anchor, params, context), anchor, width)


def anchored(inner: Estimator, target: PredictionTarget) -> Estimator:
    """A kind of model for a goal that has an anchor."""
    return (
        RatioTargetInBatches(inner, inner, target) if isinstance(inner, FitsBatches) else RatioTargetEstimator(inner, target)
    )


def _around(multiple: FittedEstimator, anchor: _Numbers, width: int) -> RatioTargetModel:
    return RatioTargetModel(multiple, width, float(np.mean(anchor)))


def _anchor(matrix: Matrix) -> _Numbers:
    return matrix[:, -1].astype(np.float64)


def _ratios(rows: EncodedRows, anchor: _Numbers) -> EncodedRows:
    return EncodedRows(_before(rows.matrix), rows.labels / anchor)


def _before(matrix: Matrix) -> Matrix:
    return np.ascontiguousarray(matrix[:, :-1])
