"""The port behind which every kind of model stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels, Scores
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions

if TYPE_CHECKING:
    import optuna

Probabilities = npt.NDArray[np.float64]
Contributions = npt.NDArray[np.float64]
"""SHAP values of encoded columns; shape ``(rows, width)``, for multiclass ``(rows, classes, width)``."""
Params = Mapping[str, float]
"""Hyperparameters by name; a choice among few is a number too, so that all of them can be written down alike."""
OnRound = Callable[[int, float], None]
"""Told the boosting round and the search metric on the validation rows so far; raises `TrialPruned` to end the fit."""


class TrialPruned(Exception):  # noqa: N818 - no error: somebody decided that going on is not worth it
    """Raised by a watch to stop a fit that is not worth going on with."""


@dataclass(frozen=True)
class FitContext:
    """What a fit may use.

    Attributes:
        seed: of everything that draws at random.
        threads: of this machine.
        cluster: address of the scheduler of a Dask cluster; empty to fit on this machine.
    """

    seed: int
    threads: int
    cluster: str = ""


class Estimator(Protocol):
    """One kind of model for one goal: what to try, how to fit it, how to explain it, how to ship it."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        ...

    @property
    def warm_start_points(self) -> tuple[Params, ...]:
        """Other hyperparameters that are worth a trial before any are drawn."""
        ...

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        ...

    def encoding(self, params: Params) -> EncodingOptions:
        """How this kind of model wants its rows."""
        ...

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> Any:
        """Fit an estimator; the same arguments give the same estimator.

        `params` hold what `fit_with_validation` taught; what is not there has a sensible value.
        """
        ...

    def fit_with_validation(  # noqa: PLR0917 - all of it is asked for in one breath
        self,
        training: tuple[Matrix, Labels],
        validation: tuple[Matrix, Labels],
        params: Params,
        context: FitContext,
        metric: Callable[[Labels, Scores], float],
        on_round: OnRound | None = None,
    ) -> tuple[Any, Params]:
        """Fit with an eye on later rows; returns the estimator and what they taught (such as the number of rounds).

        Args:
            training: encoded rows and labels to learn from.
            validation: encoded rows and labels to watch.
            params: hyperparameters.
            effort: seed and threads.
            metric: the search metric, which `on_round` is told about.
            watch: called every few rounds where there are rounds.

        Raises:
            GivenUp: `on_round` saw enough.
        """
        ...

    def predict(self, estimator: Any, matrix: Matrix) -> Scores:
        """Uncalibrated scores; shape ``(rows,)``, for multiclass ``(rows, classes)``."""
        ...

    def contributions(self, estimator: Any, matrix: Matrix) -> Contributions:
        """Exact SHAP values of the encoded columns: log odds (per class for multiclass), or the label's unit.

        A row's values and one constant (per class) add up to what the model gives before it becomes a probability.
        """
        ...

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The estimator alone as an ONNX graph.

        Its last output is ``(rows, 2)`` probabilities, ``(rows, classes)`` for multiclass, ``(rows, 1)`` numbers for
        regression.
        """
        ...
