"""Keeps the challengers that score equal to the rollouts in the registry, and reports roll-backs to it.

A challenger passes the same checks as a champion. One that cannot be loaded is rolled back at once and not tried again: a
version that only some processes could load would be half a rollout.
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
    """The only writer of the active rollouts, on the thread that asks the registry."""

    def __init__(self, registry: RegistryClient, loader: BundleLoader, rollouts: ActiveRollouts, clock: Clock) -> None:
        self._registry = registry
        self._loader = loader
        self._rollouts = rollouts
        self._clock = clock

    def follow(self, use_case: UseCase, champion: ServedModel, view: RegistryView) -> None:
        """Bring the challenger of one use case to the state that the registry wants.

        Args:
            use_case: as it is written now.
            champion: the version that answers; a challenger of another champion does not score.
            view: champion, rollout and report in the registry.

        Raises:
            RegistryError: the challenger cannot be fetched, or the report cannot be given; the next round tries again.
        """
        rollout = view.rollout
        if rollout is None or not rollout.is_live or rollout.champion.version != champion.version:
            self._rollouts.end(use_case.name)
        elif not self._is_rolled_back(rollout, view) and not self._is_active(rollout, use_case):
            self._begin(rollout, use_case, champion, view)

    def forget(self, use_case: str) -> None:
        """End the rollout of a use case whose folder has gone."""
        self._rollouts.end(use_case)

    def _is_rolled_back(self, rollout: Rollout, view: RegistryView) -> bool:
        """Whether either side rolled it back; the other side learns of it here."""
        theirs = view.guard if view.guard is not None and view.guard.rollout == rollout.id else None
        ours = self._rollouts.report_of(rollout)
        if ours is None and theirs is not None:
            self._rollouts.roll_back(rollout, theirs.reason, by=theirs.by)
        elif ours is not None and theirs is None:
            self._registry.report(rollout.use_case, ours)
        return ours is not None or theirs is not None

    def _is_active(self, rollout: Rollout, use_case: UseCase) -> bool:
        """Whether the challenger scores already, at this share and for the use case as it is written."""
        active = self._rollouts.active(use_case.name)
        if active is None or active.challenger.use_case != use_case:
            return False
        return (active.rollout.id, active.rollout.revision) == (rollout.id, rollout.revision)

    def _begin(self, rollout: Rollout, use_case: UseCase, champion: ServedModel, view: RegistryView) -> None:
        try:
            challenger = self._challenger(rollout, use_case, champion)
        except RegistryError:
            raise  # no fault of the bundle
        except NoriaError as error:
            self._rollouts.roll_back(rollout, f"version {rollout.challenger.version} cannot be loaded: {error}")
            self._is_rolled_back(rollout, view)
            return
        if self._rollouts.begin(rollout, challenger):
            what = "scores in shadow mode" if rollout.shadow else f"answers {rollout.share} %"
            _log.info("%s: version %s %s, beside version %s", use_case.name, challenger.version, what, champion.version)

    def _challenger(self, rollout: Rollout, use_case: UseCase, champion: ServedModel) -> ServedModel:
        active = self._rollouts.active(use_case.name)
        if active is not None and active.rollout.id == rollout.id:  # another share, or an edited use case
            return _readmitted(active, use_case, champion)
        version = self._registry.version(use_case.name, rollout.challenger.version)
        if version.digest != rollout.challenger.digest:
            raise BundleError(f"its digest is {version.digest!r}, the rollout is of {rollout.challenger.digest!r}")
        predictor = self._loader.load(use_case, version)
        since, origin = self._clock.now(), Origin.REGISTRY
        return ServedModel(use_case, predictor, version.version, version.digest, since, origin, champion.pseudonymiser)


def _readmitted(active: ActiveRollout, use_case: UseCase, champion: ServedModel) -> ServedModel:
    admit(use_case, active.challenger.predictor)
    return replace(active.challenger, use_case=use_case, pseudonymiser=champion.pseudonymiser)
