"""Keeps the served versions equal to what the registry calls champion.

One thread asks the registry every few seconds. A new champion is fetched, checked and loaded there, while the old one
answers; then it is swapped in. Whatever fails on the way, the old one stays: a bundle that is damaged, or does not fit the
use case, is refused and tried again later, and a registry that does not answer is asked again. A use case that is edited so
that its version no longer fits, or that it cannot be read, is answered as it was until it is well again. Challengers are
followed in the same rounds, see `serving.models.challengers`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from noria.core.base.clock import Clock
from noria.core.base.errors import BundleError, NoriaError, RegistryError, SettingsError, UseCaseError
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import UseCase
from noria.inference.predictor import Predictor, baseline_predictor, load_predictor
from noria.io.poller import Poller, Trouble
from serving.contract.pseudonymiser import Pseudonymiser
from serving.models.admission import admit
from serving.models.bundle_loader import BundleLoader
from serving.models.bundle_store import BundleStore, Pointer
from serving.models.challengers import Challengers
from serving.models.load_backoff import LoadBackoff
from serving.models.registry_client import PublishedVersion, RegistryClient
from serving.models.rollouts import ActiveRollouts
from serving.models.served_model import Origin, ServedModel, ServedModels
from serving.models.use_case_files import UseCaseFiles

_log = logging.getLogger(__name__)


class SourceMetrics(Protocol):
    """Metrics of following the registry; `serving.observability.metrics.Metrics` has them."""

    def registry_answers(self, answers: bool) -> None:
        """Set whether the registry answered the last time it was asked."""
        ...

    def count_refused(self, use_case: str) -> None:
        """Count a champion that cannot be served."""
        ...

    def count_swap(self, use_case: str) -> None:
        """Count a change of the version that answers."""
        ...

    def count_rolled_back(self, use_case: str) -> None:
        """Count a challenger that was rolled back."""
        ...


class ModelSource:
    """The only writer of the served models."""

    def __init__(
        self,
        files: UseCaseFiles,
        models: ServedModels,
        registry: RegistryClient,
        store: BundleStore,
        rollouts: ActiveRollouts,
        *,
        metrics: SourceMetrics,
        clock: Clock,
        poll_seconds: float,
        pseudonym_key: str = "",
    ) -> None:
        self._files = files
        self._models = models
        self._registry = registry
        self._store = store
        self._rollouts = rollouts
        self._pseudonym_key = pseudonym_key
        self._metrics = metrics
        self._clock = clock
        self._refusals = LoadBackoff()
        self._loader = BundleLoader(registry, store)
        rollouts.on_roll_back = metrics.count_rolled_back
        self._challengers = Challengers(registry, self._loader, rollouts, clock)
        self._use_cases: Mapping[str, UseCase] = {}
        """As they are written now; a version may still answer for one as it was."""
        self._protectors: Mapping[str, Pseudonymiser | None] = {}
        """What keeps personal values out, by use case as it is written now."""
        self._incompatible: dict[str, str] = {}
        """Why a version that answers does not fit its use case any more."""
        self._poller = Poller(self.refresh, name="model-source", seconds=poll_seconds)
        self._trouble = Trouble(
            _log, "the served versions stay as they are: %s", "the registry answers", "the registry was not asked yet"
        )

    @property
    def trouble(self) -> str:
        """Reason why the registry does not answer; empty when it does."""
        return self._trouble.reason

    def restore(self) -> None:
        """Serve what answered last, from disk, or the rule; needs no registry.

        Raises:
            UseCaseError: no use case can be read.
            SettingsError: something is to be pseudonymised, and there is no key.
        """
        self._read_use_cases()
        for use_case in self._use_cases.values():
            self._models.put(self._from_disk(use_case) or self._rule(use_case))

    def start(self, patience: float = 10.0) -> None:
        """Begin to ask; returns after the first round, so that a new replica does not answer with the rule for a moment.

        Args:
            patience: seconds after which a slow registry is no longer waited for.
        """
        self._poller.start(patience)

    def stop(self) -> None:
        """Ask no more."""
        self._poller.stop()
        self._registry.close()

    def wake(self) -> None:
        """Ask now instead of in a few seconds."""
        self._poller.wake()

    @property
    def refusals(self) -> Mapping[str, str]:
        """Why a champion is not served, or answers for its use case only as it was; by use case."""
        return {**self._incompatible, **self._refusals.reasons()}

    @property
    def troubles(self) -> Mapping[str, str]:
        """What is wrong in the file of a use case, and what counts instead; by use case."""
        return self._files.troubles

    @property
    def rolled_back(self) -> Mapping[str, str]:
        """Why a challenger of a rollout that is not over yet was taken back, by use case."""
        return self._rollouts.rolled_back

    def refresh(self) -> None:
        """One round: every use case against its champion, then against its rollout."""
        self._refresh_use_cases()
        trouble = ""
        for model in tuple(self._models):
            try:
                wanted = self._registry.wanted(model.name)
                self._follow(model, wanted.champion)
                self._challengers.follow(self._use_cases[model.name], self._models.get(model.name), wanted)
            except RegistryError as error:
                trouble = str(error)
            except Exception:  # whatever nobody thought of in one must not hold up the others
                _log.exception("%s: following the registry failed; what is served stays", model.name)
        self._trouble.report(trouble)
        self._metrics.registry_answers(not trouble)

    def _refresh_use_cases(self) -> None:
        """Take up use cases that were added, changed or removed while we serve."""
        if not self._files.changed:
            return
        before = self._use_cases
        try:
            self._read_use_cases()
        except (UseCaseError, SettingsError) as error:
            _log.error("the use cases stay as they were: %s", error)
            return
        for gone in {model.name for model in self._models} - self._use_cases.keys():
            self._models.remove(gone)
            self._forget(gone)
            self._challengers.forget(gone)
        for use_case in self._use_cases.values():
            if use_case != before.get(use_case.name):
                self._refusals.clear(use_case.name)  # what did not fit may fit now
                self._take_up(use_case)

    def _read_use_cases(self) -> None:
        use_cases, key = self._files.read(), self._pseudonym_key
        self._protectors = {name: Pseudonymiser.of(use_case, key) for name, use_case in use_cases.items()}
        self._use_cases = use_cases

    def _take_up(self, use_case: UseCase) -> None:
        if use_case.name not in self._models:
            self._models.put(self._from_disk(use_case) or self._rule(use_case))
            return
        model = self._models.get(use_case.name)
        if model.version == BASELINE_VERSION:
            self._models.put(self._rule(use_case))
            return
        try:
            admit(use_case, model.predictor)
        except BundleError as error:
            self._incompatible = {**self._incompatible, use_case.name: f"version {model.version} answers as before: {error}"}
            _log.error("%s was edited; %s", use_case.name, self._incompatible[use_case.name])
            return
        self._forget(use_case.name)
        self._models.put(replace(model, use_case=use_case, protector=self._protectors[use_case.name]))

    def _forget(self, use_case: str) -> None:
        self._refusals.clear(use_case)
        self._incompatible = {name: reason for name, reason in self._incompatible.items() if name != use_case}

    def _follow(self, model: ServedModel, champion: PublishedVersion | None) -> None:
        use_case = self._use_cases[model.name]
        if champion is None:
            self._refusals.clear(model.name)
            if model.version != BASELINE_VERSION:
                self._swap(self._rule(use_case))
            return
        if (champion.version, champion.digest) == (model.version, model.digest):
            self._refusals.clear(model.name)
            return
        if not self._refusals.may_try(champion):
            return
        try:
            predictor = self._loader.load(use_case, champion)
        except RegistryError:
            raise  # that is no fault of the bundle
        except NoriaError as error:
            self._refuse(champion, str(error))
            return
        self._swap(self._served(use_case, predictor, Pointer(champion.version, champion.digest), Origin.REGISTRY))

    def _refuse(self, champion: PublishedVersion, reason: str) -> None:
        pause = self._refusals.refuse(champion, reason)
        self._metrics.count_refused(champion.use_case)
        _log.error(
            "version %s of %s is refused, the version before it keeps answering; next try in %.0f s: %s",
            *(champion.version, champion.use_case, pause, reason),
        )

    def _swap(self, model: ServedModel) -> None:
        before = self._models.get(model.name).version
        self._models.put(model)
        self._forget(model.name)
        self._metrics.count_swap(model.name)
        _log.info("%s: version %s answers; before it, version %s did", model.name, model.version, before)
        try:
            self._store.point(model.name, Pointer(model.version, model.digest))
            self._store.prune(model.name, keep=model.digest)
        except OSError as error:
            _log.error("%s: a restart without the registry may bring back an older version: %s", model.name, error)

    def _from_disk(self, use_case: UseCase) -> ServedModel | None:
        pointer = self._store.pointer(use_case.name)
        if pointer is None or pointer.version == BASELINE_VERSION:
            return None
        try:
            predictor = load_predictor(self._store.folder(use_case.name, pointer.digest), pointer.digest)
            admit(use_case, predictor)
        except BundleError as error:
            _log.warning("%s: the last good version cannot be loaded, the rule answers: %s", use_case.name, error)
            return None
        return self._served(use_case, predictor, pointer, Origin.DISK)

    def _rule(self, use_case: UseCase) -> ServedModel:
        return self._served(use_case, baseline_predictor(use_case), Pointer(BASELINE_VERSION, ""), Origin.RULE)

    def _served(self, use_case: UseCase, predictor: Predictor, which: Pointer, origin: Origin) -> ServedModel:
        since, protector = self._clock.now(), self._protectors[use_case.name]
        return ServedModel(use_case, predictor, which.version, which.digest, since, origin, protector)
