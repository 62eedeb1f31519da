"""The model without features: rates of the classes, or the mean. Every other model must be better."""

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
    """Estimator `dummy`."""

    @property
    def defaults(self) -> Params:
        """No hyperparameters."""
        return MappingProxyType({})

    def suggest(self, trial: optuna.Trial) -> Params:  # noqa: ARG002
        """No hyperparameters."""
        return {}

    def encoding(self, params: Params) -> EncodingOptions:  # noqa: ARG002
        """Numbers without missing values: zero times NaN would be NaN."""
        return EncodingOptions(scale=True, one_hot_up_to=4, smoothing=50.0, target=self.target)

    def fit(self, matrix: Matrix, labels: Labels, params: Params, context: FitContext) -> Weights:  # noqa: ARG002
        """Rates of the classes, or the mean."""
        width = matrix.shape[1]
        return Weights(np.zeros((self.target.outputs, width)), priors(self.target, labels), np.zeros(width))

    def fit_with_validation(
        self,
        data: FitData,
        params: Params,
        context: FitContext,
        on_round: OnRound | None = None,  # noqa: ARG002 - there are no rounds
    ) -> tuple[Weights, Params]:
        """Rates of the classes, or the mean."""
        return self.fit(*data.training, params, context), {}
