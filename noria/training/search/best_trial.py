"""The best trial, and its exact text form in the registry and the study, from which a version can be fitted again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from noria.core.base.errors import RegistryError
from noria.training.models.base.estimator import Params
from noria.training.models.blend import BlendMember

RECIPE = "recipe"
"""Parameter of a registered run that holds the trial."""


@dataclass(frozen=True)
class BestTrial:
    """Result of a search.

    Attributes:
        candidate: kind of model, or `blend`.
        params: hyperparameters and fitted parameters; empty for a blend, whose members have their own.
        number: of the best trial.
        value: the search metric on validation rows.
        study: name of the study.
        trials: number of completed trials.
        members: models that a blend averages; empty otherwise.
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
    fields = asdict(best)
    fields["params"] = dict(best.params)
    fields["members"] = [{**asdict(member), "params": dict(member.params)} for member in best.members]
    return json.dumps(fields, sort_keys=True)


def read_trial(text: str) -> BestTrial:
    """The trial that `record_trial` wrote.

    Raises:
        TypeError, ValueError: the text is something else.
    """
    fields = json.loads(text)
    members = tuple(BlendMember(**member) for member in fields.pop("members"))
    return BestTrial(**fields, members=members)


def recorded_trial(params: Mapping[str, str]) -> BestTrial:
    """The trial in the parameters of a registered run.

    Raises:
        RegistryError: there is none, as the version was not registered by training.
    """
    try:
        return read_trial(params[RECIPE])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(
            f"the run does not record its trial ({type(error).__name__} in its parameter {RECIPE!r}): only versions that "
            "`noria train` registered can be fitted again"
        ) from error
