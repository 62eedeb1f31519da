"""Regression of the logarithm of a label above 0, such as a price or a duration, whose errors are relative.

Errors of the logarithm have one size where those of the label grow with it, so the few largest rows do not decide a fit.
Products become sums: a linear model can learn that a better district makes every house a fifth more expensive.

The prediction is ``factor * exp(log)``, since the exponential of a mean is less than the mean of exponentials. The factor is
that of least squares on the training rows; Duan's ("Smearing Estimate: A Nonparametric Retransformation Method", 1983) is
too close to 1 on rows that trees grew on (docs/adr/0013-search.md). A quantile needs no factor: the exponential of a
quantile is the quantile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import ExplainerPart
from noria.core.model.link_functions import ExponentPart
from noria.training.models.base.estimator import EncodedRows, FitContext, FitData, OnRound, Params, TrialPruned
from noria.training.models.base.margin import FittedEstimator, Margins
from noria.training.models.base.onnx_graph import GraphPart, constant, node
from noria.training.models.trees.external_memory import EncodedBatches

LINEAR_TARGET, TREES_TARGET = "linear_target", "trees_target"
"""The hyperparameters that choose between the label and its logarithm. Random forests have none: docs/adr/0013-search.md."""
NUMBER, LOGARITHM = 0, 1
"""Their values."""
LEAST_SKEW = 0.25
"""Least skewness of labels that can gain by logarithms."""
_SAMPLES, _SAMPLE_ROWS = 16, 4096
"""Number and length of the stretches of rows that give the factor, if the rows are never in memory as a whole."""
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogTargetModel:
    """A fitted model of logarithms, as a model of the label.

    Attributes:
        log: predicts the logarithm.
        width: number of encoded columns.
        factor: of the exponential.
        low, high: logarithms of the smallest and the largest training label; predictions are clipped to them, since the
            exponential turns one wrong feature value into an absurd number.
    """

    log: FittedEstimator
    width: int
    factor: float
    low: float
    high: float

    def margins(self, matrix: Matrix) -> Margins:
        """Predicted labels of encoded rows; shape ``(rows, 1)``."""
        return np.asarray(self.factor * np.exp(np.clip(self.log.margins(matrix), self.low, self.high)), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> _Numbers:
        """Contributions in the label's unit; shape ``(rows, 1, width)``.

        SHAP values of the logarithm, all multiplied by one rate per row, so that a row's values and one constant add up to
        its prediction (`noria.core.model.link_functions.ExponentPart`).
        """
        shap = self.log.contributions(matrix)
        return np.asarray(shap * self._exponent.rate(shap.sum(axis=2))[:, :, None], dtype=np.float64)

    def explained(self) -> tuple[ExplainerPart, ...]:
        """Explainer parts of the model of logarithms, followed by the exponential."""
        return (*self.log.explained(), self._exponent)

    @cached_property
    def _exponent(self) -> ExponentPart:
        row = np.zeros((1, self.width), dtype=np.float32)
        expected = float(self.log.margins(row)[0, 0] - self.log.contributions(row).sum())
        return ExponentPart(self.width, expected, self.factor, self.low, self.high)

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to predicted labels."""
        own = self.log.part(f"{name}_log")
        numbers = {"low": self.low, "high": self.high, "factor": self.factor}
        low, high, factor = (constant(f"{name}_{key}", np.array(value)) for key, value in numbers.items())
        nodes = (
            node("Max", [own.output, low.name], f"{name}_not_below"),
            node("Min", [f"{name}_not_below", high.name], f"{name}_within"),
            node("Exp", [f"{name}_within"], f"{name}_raised"),
            node("Mul", [f"{name}_raised", factor.name], f"{name}_margins"),
        )
        return GraphPart((*own.nodes, *nodes), (*own.constants, low, high, factor), f"{name}_margins")


class _FitsWithValidation(Protocol):
    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[FittedEstimator, Params]: ...


def learns_logarithms(params: Params) -> bool:
    """Whether these hyperparameters choose the logarithm."""
    return any(int(params.get(name, NUMBER)) == LOGARITHM for name in (LINEAR_TARGET, TREES_TARGET))


def plain(params: Params) -> Params:
    """The same hyperparameters for a model of the label itself."""
    return {name: value for name, value in params.items() if name not in {LINEAR_TARGET, TREES_TARGET}}


def logarithms(labels: Labels) -> Labels:
    """Logarithms of the labels; shape ``(rows,)``.

    A label that is not above 0 counts as the smallest one above 0, or as 1 if there is none.
    """
    numbers = labels.astype(np.float64)
    least = float(np.min(numbers, where=numbers > 0, initial=np.inf))
    return np.asarray(np.log(np.maximum(numbers, least if np.isfinite(least) else 1.0)), dtype=np.float64)


def skewed(labels: Labels) -> bool:
    """Whether all labels are above 0, with a tail of large ones that logarithms shorten."""
    if not len(labels) or float(labels.min()) <= 0:
        return False
    skew = _skew(labels.astype(np.float64))
    return skew > LEAST_SKEW and abs(_skew(np.log(labels.astype(np.float64)))) < skew


def raised(log: FittedEstimator, matrix: Matrix, labels: Labels, *, for_mean: bool) -> LogTargetModel:
    """A model of logarithms as a model of the label.

    Args:
        log: the model of logarithms.
        matrix: the encoded rows that it was fitted to; shape ``(rows, width)``.
        labels: their labels; shape ``(rows,)``.
        for_mean: whether it predicts the mean, not a quantile.
    """
    return _raised(log, matrix, (labels, labels), for_mean=for_mean)


def raised_in_batches(log: FittedEstimator, batches: EncodedBatches, labels: Labels, *, for_mean: bool) -> LogTargetModel:
    """As `raised`, for rows that are never in memory as a whole: evenly spread stretches of them give the factor."""
    starts = np.linspace(0, max(0, len(batches) - _SAMPLE_ROWS), _SAMPLES).astype(int).tolist()
    some = [slice(start, min(start + _SAMPLE_ROWS, len(batches))) for start in sorted(set(starts))]
    matrix = np.concatenate([batches.batch(part) for part in some])
    sample = np.concatenate([labels[part] for part in some])
    return _raised(log, matrix, (sample, labels), for_mean=for_mean)


def fit_log_target_with_validation(
    kind: _FitsWithValidation,
    data: FitData,
    params: Params,
    context: FitContext,
    on_round: OnRound | None,
    *,
    for_mean: bool,
) -> tuple[LogTargetModel, Params]:
    """Fit `kind` to the logarithms of the labels; `on_round` gets the metric of the numbers themselves.

    Raises:
        TrialPruned: a search asks (`on_round` is given), and the labels are not skewed numbers above 0.
    """
    labels = data.training.labels
    if on_round is not None and not skewed(labels):
        raise TrialPruned("before the first round: logarithms are for skewed labels above 0")
    learnt = logarithms(labels)
    low, high = float(learnt.min()), float(learnt.max())
    logs = FitData(
        training=EncodedRows(data.training.matrix, learnt),
        validation=EncodedRows(data.validation.matrix, logarithms(data.validation.labels)),
        metric=lambda _logs, scores: data.metric(data.validation.labels, np.exp(np.clip(scores, low, high))),
    )
    fitted, fitted_params = kind.fit_with_validation(logs, params, context, on_round)
    return raised(fitted, *data.training, for_mean=for_mean), fitted_params


def _raised(log: FittedEstimator, matrix: Matrix, labels: tuple[Labels, Labels], *, for_mean: bool) -> LogTargetModel:
    """From some rows with their labels, and all labels, which give the limits."""
    sample, logs = labels[0].astype(np.float64), logarithms(labels[1])
    without_factor = LogTargetModel(log, matrix.shape[1], 1.0, float(logs.min()), float(logs.max()))
    if not for_mean:
        return without_factor
    predicted = without_factor.margins(matrix)[:, 0]
    factor = float(np.sum(predicted * sample) / np.sum(predicted * predicted))
    return replace(without_factor, factor=factor)


def _skew(numbers: _Numbers) -> float:
    centred = numbers - numbers.mean()
    return float(np.mean(centred**3) / max(float(np.mean(centred**2)) ** 1.5, np.finfo(np.float64).tiny))
