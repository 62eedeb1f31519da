"""The model that looks at nothing: how often each outcome came, or the mean. What any model must beat."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from noria.core.model.decision import Labels
from noria.core.model.encoder_columns import Matrix
from noria.training.data.encoding import EncodingOptions
from noria.training.models.base.estimator import FitContext, FitData, OnRound, Params
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
        return EncodingOptions(scale=True, one_hot_up_to=4, smoothing=50.0, target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> Weights:  # noqa: ARG002
        """Count the labels."""
        width = matrix.shape[1]
        return Weights(np.zeros((self.target.outputs, width)), priors(self.target, labels), np.zeros(width))

    def fit_with_validation(
        self,
        data: FitData,
        params: Params,
        context: FitContext,
        on_round: OnRound | None = None,  # noqa: ARG002 - there are no rounds
    ) -> tuple[Weights, Params]:
        """Count the labels."""
        return self.fit(*data.training, params, context), {}
