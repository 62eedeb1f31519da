"""The port of all kinds of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels, Scores
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.data.search_metric import Metric

if TYPE_CHECKING:
    import optuna

Probabilities = npt.NDArray[np.float64]
Contributions = npt.NDArray[np.float64]
"""SHAP values of encoded columns; shape ``(rows, width)``, for multiclass ``(rows, classes, width)``."""
Params = Mapping[str, float]
"""Hyperparameters by name; categorical ones are numbers too, so that all are stored alike."""
OnRound = Callable[[int, float], None]
"""Called with the boosting round and the search metric on the validation rows; raises `TrialPruned` to end the fit."""


class TrialPruned(Exception):  # noqa: N818 - not an error, and the name that Optuna uses
    """Ends a fit that is not worth continuing; raised by an `OnRound` callback."""


class EncodedRows(NamedTuple):
    """Encoded rows with their labels.

    Attributes:
        matrix: shape ``(rows, width)``.
        labels: shape ``(rows,)``.
    """

    matrix: Matrix
    labels: Labels


@dataclass(frozen=True, eq=False)
class FitData:
    """Rows of a fit that is measured while it runs.

    Attributes:
        training: rows to learn from.
        validation: other rows, later ones where the split is by time; decide the number of rounds.
        metric: the search metric, passed to `OnRound`.
    """

    training: EncodedRows
    validation: EncodedRows
    metric: Metric


@dataclass(frozen=True)
class FitContext:
    """Resources of a fit.

    Attributes:
        seed: of every draw.
        threads: on this machine.
        cluster: address of the scheduler of a Dask cluster; empty to fit on this machine.
    """

    seed: int
    threads: int
    cluster: str = ""


class Estimator(Protocol):
    """One kind of model for one prediction target: its hyperparameters, fits, explanations and ONNX graph."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        ...

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Other hyperparameters to try before any are drawn."""
        ...

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        ...

    def encoding(self, params: Params) -> EncodingOptions:
        """Encoding of the rows."""
        ...

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> Any:
        """Fit to rows; the same arguments give the same model.

        Args:
            matrix: encoded rows; shape ``(rows, width)``.
            labels: shape ``(rows,)``.
            params: hyperparameters, and fitted parameters of `fit_with_validation`; missing ones have defaults.
            context: seed and threads.
        """
        ...

    def fit_with_validation(
        self, data: FitData, params: Params, context: FitContext, on_round: OnRound | None = None
    ) -> tuple[Any, Params]:
        """Fit with validation rows; returns the model and its fitted parameters (such as the number of rounds).

        Args:
            data: training and validation rows, and the search metric.
            params: hyperparameters.
            context: seed and threads.
            on_round: called every few boosting rounds; never called by kinds without rounds.

        Raises:
            TrialPruned: raised by `on_round`.
        """
        ...

    def predict(self, estimator: Any, matrix: Matrix) -> Scores:
        """Uncalibrated scores; shape ``(rows,)``, for multiclass ``(rows, classes)``."""
        ...

    def contributions(self, estimator: Any, matrix: Matrix) -> Contributions:
        """Exact SHAP values of the encoded columns, in log odds (per class for multiclass) or the label's unit.

        Shape ``(rows, width)``, for multiclass ``(rows, classes, width)``. A row's values and one constant (per class) add
        up to the margin.
        """
        ...

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The model without its encoder, as an ONNX graph.

        The last output has the probabilities, shape ``(rows, 2)`` or ``(rows, classes)``, or numbers, shape ``(rows, 1)``.
        """
        ...
