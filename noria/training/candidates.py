"""Kinds of model that a search may try. A new kind is one class and one entry here.

`blend` is none of them: it is made of the trials of the others, see `noria.training.blend`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from noria.core.use_case import Task
from noria.training.anchored import anchored
from noria.training.candidate import Candidate
from noria.training.dummy import Dummy
from noria.training.goal import Goal
from noria.training.gradient_boosting import GradientBoosting
from noria.training.joint_forest import JointForest
from noria.training.linear import Linear
from noria.training.random_forest import RandomForest

CANDIDATES: Mapping[str, Callable[[Goal], Candidate]] = {
    "dummy": Dummy,
    "linear": Linear,
    "gradient_boosting": GradientBoosting,
    "random_forest": lambda goal: JointForest(goal) if goal.task is Task.MULTICLASS else RandomForest(goal),
}
BLEND = "blend"


def make_candidate(name: str, goal: Goal) -> Candidate:
    """The kind of model of that name, for a goal; one that learns multiples where the goal has an anchor.

    Raises:
        KeyError: there is no such kind.
    """
    kind = CANDIDATES[name](goal)
    return anchored(kind, goal) if goal.anchor else kind
