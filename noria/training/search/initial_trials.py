"""Kinds of model of a search, and the first trials of each."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence

from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Params
from noria.training.models.catalog import BLEND, ESTIMATORS, make_estimator

CANDIDATE = "candidate"
"""Parameter of a registered run that names its kind of model."""
_MEMBER = re.compile(r"member_\d+")
_log = logging.getLogger(__name__)


def fitted_kinds(candidates: Sequence[str]) -> tuple[str, ...]:
    """The kinds to fit, cheapest first; `blend` alone blends every kind.

    Args:
        candidates: `training.candidates` of the use case.
    """
    named = [name for name in candidates if name != BLEND]
    return tuple(name for name in ESTIMATORS if not named or name in named)


def searched_kinds(target: PredictionTarget, kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds that have hyperparameters to search; the others are tried once, as they are."""
    return tuple(name for name in kinds if make_estimator(name, target).defaults)


def first_trials(
    target: PredictionTarget, kinds: Sequence[str], warm_start: Mapping[str, str]
) -> tuple[tuple[str, Params], ...]:
    """Kind and hyperparameters of the first trials: the champion's, the defaults of every kind, other good starts.

    Args:
        target: what is predicted.
        kinds: kinds of model to fit.
        warm_start: parameters of the champion's run as the registry returns them; unknown kinds and names are left out.
    """
    estimators = [(name, make_estimator(name, target)) for name in kinds]
    defaults = ((name, kind.defaults) for name, kind in estimators)
    others = ((name, other) for name, kind in estimators for other in kind.warm_start_points)
    return (*_of_champion(target, searched_kinds(target, kinds), warm_start), *defaults, *others)


def _of_champion(
    target: PredictionTarget, kinds: Sequence[str], warm_start: Mapping[str, str]
) -> Iterator[tuple[str, Params]]:
    for kind, given in ((warm_start.get(CANDIDATE, ""), warm_start), *_members(warm_start)):
        if kind not in kinds:
            continue
        defaults = make_estimator(kind, target).defaults
        try:
            chosen = {name: type(default)(float(given[name])) for name, default in defaults.items() if name in given}
        except ValueError as error:
            _log.warning("the champion's hyperparameters cannot be read (%s): the search starts without them", error)
            continue
        if chosen:
            yield kind, {**defaults, **chosen}


def _members(warm_start: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Members of a champion that is a blend; parameters are named `member_1`, `member_1_<name>`."""
    for key, member in warm_start.items():
        if _MEMBER.fullmatch(key):
            own = {name.removeprefix(f"{key}_"): value for name, value in warm_start.items() if name.startswith(f"{key}_")}
            yield member.split(" ")[0], own
