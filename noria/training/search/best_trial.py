"""The best trial, and it as text that a registry or a study can keep, exact to the last digit, so that a version can be
fitted again without the trials it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from noria.core.base.errors import RegistryError
from noria.training.models.base.estimator import Params
from noria.training.models.blend import BlendMember

RECIPE = "recipe"
"""Name of the run's parameter that holds it."""


@dataclass(frozen=True)
class BestTrial:
    """What the search settled on.

    Attributes:
        candidate: kind of model, or `blend`.
        params: hyperparameters, with what validation rows taught; empty for a blend, whose members have theirs.
        number: of the best trial.
        value: the search metric on validation rows.
        study: name of the study.
        trials: how many were completed.
        members: of a blend: what is averaged.
    """

    candidate: str
    params: Params
    number: int
    value: float
    study: str
    trials: int
    members: tuple[BlendMember, ...] = ()


def record_trial(best: BestTrial) -> str:
    """The trial as JSON; floats are written so that reading them gives the same bits."""
    told = asdict(best)
    told["params"] = dict(best.params)
    told["members"] = [{**asdict(member), "params": dict(member.params)} for member in best.members]
    return json.dumps(told, sort_keys=True)


def read_trial(text: str) -> BestTrial:
    """What `record_trial` wrote.

    Raises:
        TypeError, ValueError: it is something else.
    """
    told = json.loads(text)
    members = tuple(BlendMember(**member) for member in told.pop("members"))
    return BestTrial(**told, members=members)


def recorded_trial(params: Mapping[str, str]) -> BestTrial:
    """The trial that a run's parameters tell of.

    Raises:
        RegistryError: they do not tell; the version was registered otherwise than by training.
    """
    try:
        return read_trial(params[RECIPE])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(
            f"the run does not say which recipe it used ({type(error).__name__} in its parameter {RECIPE!r}): only versions "
            "that `noria train` registered can be fitted again"
        ) from error
