"""Keeps the version that answers for each use case equal to the registry's champion.

A new champion is fetched, checked and loaded while the old version answers; then it is swapped in. A bundle that is damaged,
or does not fit the use case, is refused and tried again later. A use case whose edit makes its version incompatible is
answered as it was before the edit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from noria.core.base.clock import Clock
from noria.core.base.errors import BundleError, NoriaError, RegistryError
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import UseCase
from noria.inference.predictor import Predictor, baseline_predictor
from serving.contract.pseudonymiser import Pseudonymiser
from serving.models.admission import admit
from serving.models.bundle_loader import BundleLoader
from serving.models.bundle_store import Pointer
from serving.models.load_backoff import LoadBackoff
from serving.models.registry_client import PublishedVersion
from serving.models.served_model import Origin, ServedModel, ServedModels

_log = logging.getLogger(__name__)


class ChampionMetrics(Protocol):
    """Metrics of champions; `serving.observability.metrics.Metrics` has them."""

    def count_refused(self, use_case: str) -> None:
        """Count a champion that cannot be served."""
        ...

    def count_swap(self, use_case: str) -> None:
        """Count a change of the version that answers."""
        ...


class Champions:
    """The only writer of the served models, on the thread that asks the registry."""

    def __init__(
        self, models: ServedModels, loader: BundleLoader, metrics: ChampionMetrics, clock: Clock, pseudonym_key: str
    ) -> None:
        """Serve nothing yet.

        Args:
            models: versions that answer.
            loader: brings and checks bundles.
            metrics: counts swaps and refusals.
            clock: dates swaps.
            pseudonym_key: key of pseudonyms; empty if no use case has any.
        """
        self._models = models
        self._loader = loader
        self._metrics = metrics
        self._clock = clock
        self._pseudonym_key = pseudonym_key
        self._pseudonymisers: Mapping[str, Pseudonymiser | None] = {}
        self._backoff = LoadBackoff()
        self._incompatible: dict[str, str] = {}
        """Reasons why a version that answers does not fit its use case as it is written now."""

    @property
    def refused(self) -> Mapping[str, str]:
        """Reasons why a champion is not served, or answers for its use case as it was before an edit; by use case."""
        return {**self._incompatible, **self._backoff.reasons()}

    def declare(self, use_cases: Iterable[UseCase]) -> None:
        """Take the use cases as they are written now; `take_up` serves each of them.

        Raises:
            SettingsError: a field is to be pseudonymised, and there is no key; nothing has changed.
        """
        self._pseudonymisers = {one.name: Pseudonymiser.of(one, self._pseudonym_key) for one in use_cases}

    def take_up(self, use_case: UseCase) -> None:
        """Serve a use case that is new or was edited: its version, if that fits; else what answered before."""
        self._backoff.clear(use_case.name)  # a bundle that did not fit may fit now
        model = self._models.find(use_case.name)
        if model is None:
            self._models.put(self._from_disk(use_case) or self._baseline(use_case))
        elif model.version == BASELINE_VERSION:
            self._models.put(self._baseline(use_case))
        else:
            self._take_up_edited(use_case, model)

    def forget(self, use_case: str) -> None:
        """Stop serving a use case whose folder has gone."""
        self._models.remove(use_case)
        self._forget_refusals(use_case)

    def follow(self, use_case: UseCase, champion: PublishedVersion | None) -> ServedModel:
        """Serve the registry's champion, if it can be loaded; returns the version that answers.

        Args:
            use_case: as it is written now.
            champion: None for the baseline.

        Raises:
            RegistryError: it cannot be fetched.
        """
        model = self._models.get(use_case.name)
        if champion is None:
            self._backoff.clear(use_case.name)
            if model.version != BASELINE_VERSION:
                self._swap(self._baseline(use_case))
        elif (champion.version, champion.digest) == (model.version, model.digest):
            self._backoff.clear(use_case.name)
        elif self._backoff.may_try(champion):
            self._load(use_case, champion)
        return self._models.get(use_case.name)

    def _load(self, use_case: UseCase, champion: PublishedVersion) -> None:
        try:
            predictor = self._loader.load(use_case, champion)
        except RegistryError:
            raise  # no fault of the bundle
        except NoriaError as error:
            self._refuse(champion, str(error))
            return
        self._swap(self._served(use_case, predictor, Pointer(champion.version, champion.digest), Origin.REGISTRY))

    def _refuse(self, champion: PublishedVersion, reason: str) -> None:
        pause = self._backoff.refuse(champion, reason)
        self._metrics.count_refused(champion.use_case)
        _log.error(
            "version %s of %s is refused, the version before it keeps answering; next try in %.0f s: %s",
            *(champion.version, champion.use_case, pause, reason),
        )

    def _swap(self, model: ServedModel) -> None:
        before = self._models.get(model.name).version
        self._models.put(model)
        self._forget_refusals(model.name)
        self._metrics.count_swap(model.name)
        _log.info("%s: version %s answers; before it, version %s did", model.name, model.version, before)
        try:
            self._loader.remember(model.name, Pointer(model.version, model.digest))
        except OSError as error:
            _log.error("%s: a restart without the registry may bring back an older version: %s", model.name, error)

    def _take_up_edited(self, use_case: UseCase, model: ServedModel) -> None:
        try:
            admit(use_case, model.predictor)
        except BundleError as error:
            self._incompatible = {**self._incompatible, use_case.name: f"version {model.version} answers as before: {error}"}
            _log.error("%s was edited; %s", use_case.name, self._incompatible[use_case.name])
            return
        self._forget_refusals(use_case.name)
        self._models.put(replace(model, use_case=use_case, pseudonymiser=self._pseudonymisers[use_case.name]))

    def _forget_refusals(self, use_case: str) -> None:
        self._backoff.clear(use_case)
        self._incompatible = {name: reason for name, reason in self._incompatible.items() if name != use_case}

    def _from_disk(self, use_case: UseCase) -> ServedModel | None:
        try:
            last_good = self._loader.last_good(use_case)
        except BundleError as error:
            _log.warning("%s: the last good version cannot be loaded, the baseline answers: %s", use_case.name, error)
            return None
        return None if last_good is None else self._served(use_case, *last_good, Origin.DISK)

    def _baseline(self, use_case: UseCase) -> ServedModel:
        return self._served(use_case, baseline_predictor(use_case), Pointer(BASELINE_VERSION, ""), Origin.RULE)

    def _served(self, use_case: UseCase, predictor: Predictor, which: Pointer, origin: Origin) -> ServedModel:
        since, pseudonymiser = self._clock.now(), self._pseudonymisers[use_case.name]
        return ServedModel(use_case, predictor, which.version, which.digest, since, origin, pseudonymiser)
