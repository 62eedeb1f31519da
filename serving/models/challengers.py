"""Keeps the challengers that score equal to what the registry says of rollouts, and tells it of those that were taken back.

A challenger passes the same checks as a champion. One that cannot be loaded does not get a second try by itself: it is
taken back, since a version that only some processes could load would be half a rollout.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from noria.core.base.clock import Clock
from noria.core.base.errors import BundleError, NoriaError, RegistryError
from noria.core.lifecycle.rollout import Rollout
from noria.core.use_case import UseCase
from serving.models.admission import admit
from serving.models.bundle_loader import BundleLoader
from serving.models.registry_client import RegistryClient, RegistryView
from serving.models.rollouts import ActiveRollout, ActiveRollouts
from serving.models.served_model import Origin, ServedModel

_log = logging.getLogger(__name__)


class Challengers:
    """The only one who begins and ends rollouts in this process; works in the thread that asks the registry."""

    def __init__(self, registry: RegistryClient, loader: BundleLoader, rollouts: ActiveRollouts, clock: Clock) -> None:
        self._registry = registry
        self._loader = loader
        self._rollouts = rollouts
        self._clock = clock

    def follow(self, use_case: UseCase, champion: ServedModel, wanted: RegistryView) -> None:
        """Do what the registry says of one use case.

        Args:
            use_case: as it is written now.
            champion: the version that answers; beside another one than the rollout's, its challenger does not score.
            wanted: what the registry says.

        Raises:
            RegistryError: the challenger cannot be fetched, or a report not be given; the next round tries again.
        """
        rollout = wanted.rollout
        if rollout is None or not rollout.is_live or rollout.champion.version != champion.version:
            self._rollouts.end(use_case.name)
            return
        if self._taken_back(rollout, wanted):
            return
        active = self._rollouts.active(use_case.name)
        if active is not None and _is_as_wanted(active, rollout, use_case):
            return
        try:
            challenger = self._challenger(champion, use_case, rollout)
        except RegistryError:
            raise  # that is no fault of the bundle
        except NoriaError as error:
            self._rollouts.roll_back_challenger(rollout, f"version {rollout.challenger.version} cannot be loaded: {error}")
            self._taken_back(rollout, wanted)
            return
        if self._rollouts.begin(rollout, challenger):
            what = "scores along" if rollout.shadow else f"answers {rollout.share} %"
            _log.info("%s: version %s %s, beside version %s", use_case.name, challenger.version, what, champion.version)

    def forget(self, use_case: str) -> None:
        """A use case whose folder has gone has no rollout."""
        self._rollouts.end(use_case)

    def _taken_back(self, rollout: Rollout, wanted: RegistryView) -> bool:
        """Whether it was, here or elsewhere; each side tells the other."""
        told = wanted.guard if wanted.guard is not None and wanted.guard.rollout == rollout.id else None
        stopped = self._rollouts.stopped(rollout)
        if stopped is None and told is not None:
            self._rollouts.roll_back_challenger(rollout, told.reason, by=told.by)
        elif stopped is not None and told is None:
            self._registry.report(rollout.use_case, stopped)
        return stopped is not None or told is not None

    def _challenger(self, champion: ServedModel, use_case: UseCase, rollout: Rollout) -> ServedModel:
        active = self._rollouts.active(use_case.name)
        if active is not None and active.rollout.id == rollout.id:  # another share, or an edited use case
            admit(use_case, active.challenger.predictor)
            return replace(active.challenger, use_case=use_case, protector=champion.protector)
        version = self._registry.version(use_case.name, rollout.challenger.version)
        if version.digest != rollout.challenger.digest:
            raise BundleError(f"its digest is {version.digest!r}, the rollout is of {rollout.challenger.digest!r}")
        predictor = self._loader.load(use_case, version)
        since, origin = self._clock.now(), Origin.REGISTRY
        return ServedModel(use_case, predictor, version.version, version.digest, since, origin, champion.protector)


def _is_as_wanted(active: ActiveRollout, rollout: Rollout, use_case: UseCase) -> bool:
    same = (active.rollout.id, active.rollout.revision) == (rollout.id, rollout.revision)
    return same and active.challenger.use_case == use_case
