"""Numbers above 0 learnt by their logarithm: prices and durations go wrong by a share of what they are, not by an amount.

The logarithm's errors are of one size where the number's grow with it, so a fit is not decided by the few largest rows, and
what multiplies becomes what adds up: a linear model can tell that a better district makes any house a fifth dearer.

The prediction is transformed back by ``factor * exp(log)``, since the exponential of a mean is less than the mean of
exponentials. Duan ("Smearing Estimate: A Nonparametric Retransformation Method", 1983) takes the mean of label over
exponential, which on rows that trees grew on is too near to 1. This is the factor of least squares on the same rows; on four
data sets it was the best in 22 of 24 cases (prices of houses, mean of five folds: root mean squared error 25,954 without a
factor, 25,947 with Duan's, 25,884 with this one). Where a quantile is aimed at there is none: the quantile's exponential is
the quantile.
"""

from __future__ import annotations

from dataclasses import dataclass
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
"""The hyperparameters that say whether a kind of model learns numbers as they are or by their logarithm.

Random forests have none: they were worse by it on three of four sets of prices and durations (by 1, 4 and 5 %)."""
NUMBER, LOGARITHM = 0, 1
"""Their values."""
LEAST_SKEW = 0.25
"""Labels with less of a tail have nothing to gain."""
_SAMPLES, _SAMPLE_ROWS = 16, 4096
"""Rows that are never in memory as a whole lend so many stretches of so many rows to the factor."""
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogTargetModel:
    """A fitted model of logarithms, transformed back to numbers.

    Attributes:
        log: gives the logarithm.
        width: number of columns.
        factor: what the exponential is multiplied by.
        low, high: logarithms of the smallest and the largest label: nothing beyond is believed, since an exponential makes
            much of little (a linear model of diamonds predicted 50 millions for one with a typing error).
    """

    log: FittedEstimator
    width: int
    factor: float
    low: float
    high: float

    def margins(self, matrix: Matrix) -> Margins:
        """Numbers of encoded rows; shape ``(rows, 1)``."""
        return np.asarray(self.factor * np.exp(np.clip(self.log.margins(matrix), self.low, self.high)), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> _Numbers:
        """What the columns moved, in the label's unit; shape ``(rows, 1, width)``.

        SHAP values of the logarithm, each by the same rate, so that a row's values and one constant add up to its number
        (`noria.core.model.explainer.ExponentPart`).
        """
        found = self.log.contributions(matrix)
        return np.asarray(found * self._exponent.rate(found.sum(axis=2))[:, :, None], dtype=np.float64)

    def explained(self) -> tuple[ExplainerPart, ...]:
        """The model of logarithms and what takes them back, to explain rows without this library."""
        return (*self.log.explained(), self._exponent)

    @cached_property
    def _exponent(self) -> ExponentPart:
        row = np.zeros((1, self.width), dtype=np.float32)
        usual = float(self.log.margins(row)[0, 0] - self.log.contributions(row).sum())
        return ExponentPart(self.width, usual, self.factor, self.low, self.high)

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to numbers."""
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
    """Whether these hyperparameters ask for logarithms."""
    return any(int(params.get(name, NUMBER)) == LOGARITHM for name in (LINEAR_TARGET, TREES_TARGET))


def plain(params: Params) -> Params:
    """The same hyperparameters for a model of numbers as they are."""
    return {name: value for name, value in params.items() if name not in {LINEAR_TARGET, TREES_TARGET}}


def logarithms(labels: Labels) -> Labels:
    """Logarithms of the labels; of one that has none, that of the smallest label above 0 (0 where there is none)."""
    numbers = labels.astype(np.float64)
    least = float(np.min(numbers, where=numbers > 0, initial=np.inf))
    return np.asarray(np.log(np.maximum(numbers, least if np.isfinite(least) else 1.0)), dtype=np.float64)


def skewed(labels: Labels) -> bool:
    """Whether all labels are above 0, with a tail of large ones that logarithms draw in."""
    if not len(labels) or float(labels.min()) <= 0:
        return False
    skew = _skew(labels.astype(np.float64))
    return skew > LEAST_SKEW and abs(_skew(np.log(labels.astype(np.float64)))) < skew


def raised(log: FittedEstimator, matrix: Matrix, labels: Labels, *, for_mean: bool) -> LogTargetModel:
    """The model of logarithms as one of numbers.

    Args:
        log: the model of logarithms.
        matrix: the encoded rows that it was fitted to.
        labels: their labels, as numbers.
        for_mean: whether it aims at the mean, not at a quantile.
    """
    return _raised(log, matrix, (labels, labels), for_mean=for_mean)


def raised_in_batches(log: FittedEstimator, batches: EncodedBatches, labels: Labels, *, for_mean: bool) -> LogTargetModel:
    """As `raised`, where the rows are never in memory as a whole: some of them, evenly spread, tell the factor."""
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
    """From rows with their labels, and all labels, which say how far numbers go."""
    sample, known = labels[0].astype(np.float64), logarithms(labels[1])
    within = LogTargetModel(log, matrix.shape[1], 1.0, float(known.min()), float(known.max()))
    if not for_mean:
        return within
    found = within.margins(matrix)[:, 0]
    factor = float(np.sum(found * sample) / np.sum(found * found))
    return LogTargetModel(log, within.width, factor, within.low, within.high)


def _skew(numbers: _Numbers) -> float:
    away = numbers - numbers.mean()
    return float(np.mean(away**3) / max(float(np.mean(away**2)) ** 1.5, np.finfo(np.float64).tiny))
