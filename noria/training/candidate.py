"""The port behind which every kind of model stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from noria.core.encoder import Matrix
from noria.training.encoding import EncodingOptions

if TYPE_CHECKING:
    import optuna

Labels = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float64]
Params = Mapping[str, float]
"""Hyperparameters by name."""


@dataclass(frozen=True)
class Effort:
    """What a fit may use."""

    seed: int
    threads: int


class Candidate(Protocol):
    """One kind of model: what to try, how to fit it, how to ship it."""

    @property
    def defaults(self) -> Params:
        """Hyperparameters that are tried first."""
        ...

    def suggest(self, trial: optuna.Trial) -> Params:
        """Hyperparameters of a trial."""
        ...

    def encoding(self, params: Params) -> EncodingOptions:
        """How this kind of model wants its rows."""
        ...

    def fit(self, matrix: Matrix, labels: Labels, params: Params, effort: Effort) -> Any:
        """Fit an estimator; the same arguments give the same estimator."""
        ...

    def fit_watching(
        self, training: tuple[Matrix, Labels], validation: tuple[Matrix, Labels], params: Params, effort: Effort
    ) -> tuple[Any, Params]:
        """Fit with an eye on later rows; returns the estimator and what they taught (such as the number of rounds)."""
        ...

    def predict(self, estimator: Any, matrix: Matrix) -> Probabilities:
        """Probabilities of the positive class; shape ``(rows,)``."""
        ...

    def to_onnx(self, estimator: Any, width: int) -> bytes:
        """The estimator alone as an ONNX graph whose last output is ``(rows, 2)`` probabilities."""
        ...
