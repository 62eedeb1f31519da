"""The best trial as text that a registry can keep, exact to the last digit, so that a version can be fitted again without
the study it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from noria.core.errors import RegistryError
from noria.training.blend import Member
from noria.training.settle import BestTrial

RECIPE = "recipe"
"""Name of the run's parameter that holds it."""


def record_trial(best: BestTrial) -> str:
    """The trial as JSON; floats are written so that reading them gives the same bits."""
    told = asdict(best)
    told["params"] = dict(best.params)
    told["members"] = [{**asdict(member), "params": dict(member.params)} for member in best.members]
    return json.dumps(told, sort_keys=True)


def recorded_trial(params: Mapping[str, str]) -> BestTrial:
    """The trial that a run's parameters tell of.

    Raises:
        RegistryError: they do not tell; the version was registered otherwise than by training.
    """
    try:
        told = json.loads(params[RECIPE])
        members = tuple(Member(**member) for member in told.pop("members"))
        return BestTrial(**told, members=members)
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(
            f"the run does not say which recipe it used ({type(error).__name__} in its parameter {RECIPE!r}): only versions "
            "that `noria train` registered can be fitted again"
        ) from error
