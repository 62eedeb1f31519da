"""Kinds of model that a search can try. A new kind is one class and one entry here.

`blend` is not one of them: it averages trials of the others, see `noria.training.models.blend`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Estimator
from noria.training.models.dummy import Dummy
from noria.training.models.gradient_boosting import GradientBoosting
from noria.training.models.linear import Linear
from noria.training.models.multiclass_forest import MulticlassForest
from noria.training.models.random_forest import RandomForest
from noria.training.models.ratio_target import ratio_to_anchor

ESTIMATORS: Mapping[str, Callable[[PredictionTarget], Estimator]] = {
    "dummy": Dummy,
    "linear": Linear,
    "gradient_boosting": GradientBoosting,
    "random_forest": lambda target: MulticlassForest(target) if target.task.is_multiclass else RandomForest(target),
}
BLEND = "blend"


def make_estimator(name: str, target: PredictionTarget) -> Estimator:
    """The kind of model of that name, for a target; it learns the ratio to the anchor if the target has one.

    Raises:
        KeyError: there is no such kind.
    """
    kind = ESTIMATORS[name](target)
    return ratio_to_anchor(kind, target) if target.anchor else kind
