"""The model that looks at nothing: how often each outcome came, or the mean. What any model must beat."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.models.base.estimator import Effort, Labels, Params, Scores, Watch
from noria.training.models.base.margin import MarginModel, priors
from noria.training.models.linear import Weights

if TYPE_CHECKING:
    import optuna


class Dummy(MarginModel):
    """Candidate `dummy`."""

    @property
    def defaults(self) -> Params:
        """There is nothing to choose."""
        return MappingProxyType({})

    def suggest(self, trial: optuna.Trial) -> Params:  # noqa: ARG002
        """There is nothing to choose."""
        return {}

    def encoding(self, params: Params) -> EncodingOptions:  # noqa: ARG002
        """Numbers without gaps: nothing times a missing number would be missing too."""
        return EncodingOptions(scale=True, one_hot_up_to=4, smoothing=50.0, goal=self.goal)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, effort: Effort) -> Weights:  # noqa: ARG002
        """Count the labels."""
        width = matrix.shape[1]
        return Weights(np.zeros((self.goal.outputs, width)), priors(self.goal, labels), np.zeros(width))

    def fit_watching(  # noqa: PLR0917 - all of it is asked for in one breath
        self,
        training: tuple[Matrix, Labels],
        validation: tuple[Matrix, Labels],  # noqa: ARG002 - nothing is learnt from it
        params: Params,
        effort: Effort,
        metric: Callable[[Labels, Scores], float],  # noqa: ARG002 - there are no rounds
        watch: Watch | None = None,  # noqa: ARG002
    ) -> tuple[Weights, Params]:
        """Count the labels."""
        return self.fit(*training, params, effort), {}
