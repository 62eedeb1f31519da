"""The kinds of model of a use case: which are searched, and where the search of each begins."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping

from noria.core.use_case import UseCase
from noria.training.data.target import target_of
from noria.training.models.base.estimator import Estimator, Params
from noria.training.models.catalog import BLEND, ESTIMATORS, make_estimator
from noria.training.search.study import KIND

_MEMBER = re.compile(r"member_\d+")
_log = logging.getLogger(__name__)


def kind_of(use_case: UseCase, name: str) -> Estimator:
    """One kind of model, for what the use case predicts."""
    return make_estimator(name, target_of(use_case))


def fitted_kinds(use_case: UseCase) -> tuple[str, ...]:
    """The kinds that are fitted, the cheapest first; a blend alone blends everything that can be searched."""
    named = [name for name in use_case.training.candidates if name != BLEND]
    return tuple(name for name in ESTIMATORS if not named or name in named)


def searched_kinds(use_case: UseCase) -> tuple[str, ...]:
    """The kinds that have hyperparameters to search; the others are tried once, as they are."""
    return tuple(name for name in fitted_kinds(use_case) if kind_of(use_case, name).defaults)


def first_trials(use_case: UseCase, warm_start: Mapping[str, str]) -> tuple[tuple[str, Params], ...]:
    """Where the search begins: the champion's hyperparameters, every kind as it is, and what else a kind knows to do well.

    Args:
        use_case: says the kinds.
        warm_start: parameters of the champion's run as the registry has them; those that are of no kind, or no longer of
            its kind, are left out.
    """
    kinds = [(name, kind_of(use_case, name)) for name in fitted_kinds(use_case)]
    defaults = ((name, kind.defaults) for name, kind in kinds)
    others = ((name, other) for name, kind in kinds for other in kind.warm_start_points)
    return (*_of_champion(use_case, warm_start), *defaults, *others)


def _of_champion(use_case: UseCase, warm_start: Mapping[str, str]) -> Iterator[tuple[str, Params]]:
    for kind, given in ((warm_start.get(KIND, ""), warm_start), *_members(warm_start)):
        if kind not in searched_kinds(use_case):
            continue
        defaults = kind_of(use_case, kind).defaults
        try:
            known = {name: type(default)(float(given[name])) for name, default in defaults.items() if name in given}
        except ValueError as error:
            _log.warning("the champion's hyperparameters cannot be read (%s): the search begins without them", error)
            continue
        if known:
            yield kind, {**defaults, **known}


def _members(warm_start: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Members of a champion that is a blend, as the bundle names them: `member_1`, `member_1_<name>`."""
    for key, told in warm_start.items():
        if _MEMBER.fullmatch(key):
            own = {name.removeprefix(f"{key}_"): value for name, value in warm_start.items() if name.startswith(f"{key}_")}
            yield told.split(" ")[0], own
