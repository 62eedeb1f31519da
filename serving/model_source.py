"""Keeps the served versions equal to what the registry calls champion.

One thread asks the registry every few seconds. A new champion is fetched, checked and loaded there, while the old one
answers; then it is swapped in. Whatever fails on the way, the old one stays: a damaged bundle is refused and tried again
later, and a registry that does not answer is asked again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from noria.core.bundle import BASELINE_VERSION
from noria.core.catalog import FILE_NAME, load_catalog
from noria.core.clock import Clock
from noria.core.errors import BundleError, NoriaError, RegistryError, UseCaseError
from noria.core.use_case import UseCase
from noria.inference.predictor import Predictor, baseline_predictor, load_predictor
from serving.bundle_store import BundleStore, Pointer
from serving.metrics import Metrics
from serving.registry_client import Champion, RegistryClient
from serving.served_model import Origin, ServedModel, ServedModels

_log = logging.getLogger(__name__)
_FIRST_RETRY, _LAST_RETRY = 5.0, 300.0


@dataclass(frozen=True)
class Refusal:
    """A champion that cannot be served, and when it is tried again (monotonic seconds)."""

    champion: Champion
    reason: str
    retry_at: float
    pause: float


class ModelSource:
    """The only writer of the served models."""

    def __init__(
        self,
        use_cases: Path,
        models: ServedModels,
        registry: RegistryClient,
        store: BundleStore,
        *,
        metrics: Metrics,
        clock: Clock,
        poll_seconds: float,
    ) -> None:
        self._root = use_cases
        self._models = models
        self._registry = registry
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._refusals: dict[str, Refusal] = {}
        self._catalog_seen: Mapping[str, int] = {}
        self._stopping = threading.Event()
        self._first_round = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-source", daemon=True)
        self.trouble = "the registry was not asked yet"
        """Why the registry does not answer; empty when it does."""

    def restore(self) -> None:
        """Serve what answered last, from disk, or the rule; needs no registry.

        Raises:
            UseCaseError: a use case is wrong.
        """
        self._catalog_seen = _fingerprint(self._root)
        for use_case in load_catalog(self._root):
            self._models.put(self._from_disk(use_case) or self._rule(use_case))

    def start(self, patience: float = 10.0) -> None:
        """Begin to ask; returns after the first round, so that a new replica does not answer with the rule for a moment.

        Args:
            patience: seconds after which a slow registry is no longer waited for.
        """
        self._thread.start()
        self._first_round.wait(patience)

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(15)
        self._registry.close()

    @property
    def refusals(self) -> Mapping[str, str]:
        """Why a champion is not served, by use case."""
        return {name: f"version {item.champion.version}: {item.reason}" for name, item in self._refusals.copy().items()}

    def refresh(self) -> None:
        """One round: every use case against its champion."""
        self._refresh_catalog()
        trouble = ""
        for model in tuple(self._models):
            try:
                self._follow(model, self._registry.champion(model.name))
            except RegistryError as error:
                trouble = str(error)
        self._report(trouble)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh()
            except Exception:  # the thread must outlive whatever nobody thought of
                _log.exception("asking the registry failed; the served versions stay as they are")
            self._first_round.set()
            self._stopping.wait(self._poll_seconds)

    def _report(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _log.warning("the served versions stay as they are: %s", trouble)
        elif self.trouble and not trouble:
            _log.info("the registry answers")
        self.trouble = trouble
        self._metrics.registry_up.set(0 if trouble else 1)

    def _refresh_catalog(self) -> None:
        """Take up use cases that were added, changed or removed while we serve."""
        seen = _fingerprint(self._root)
        if seen == self._catalog_seen:
            return
        self._catalog_seen = seen
        try:
            catalog = load_catalog(self._root)
        except UseCaseError as error:
            _log.error("the use cases stay as they were: %s", error)
            return
        for gone in {model.name for model in self._models} - catalog.use_cases.keys():
            self._models.remove(gone)
        for use_case in catalog:
            self._take_up(use_case)

    def _take_up(self, use_case: UseCase) -> None:
        if use_case.name not in self._models:
            self._models.put(self._from_disk(use_case) or self._rule(use_case))
            return
        model = self._models.get(use_case.name)
        if use_case != model.use_case:
            self._models.put(
                self._rule(use_case) if model.version == BASELINE_VERSION else replace(model, use_case=use_case)
            )

    def _follow(self, model: ServedModel, champion: Champion | None) -> None:
        if champion is None:
            self._refusals.pop(model.name, None)
            if model.version != BASELINE_VERSION:
                self._swap(self._rule(model.use_case))
            return
        if (champion.version, champion.digest) == (model.version, model.digest):
            self._refusals.pop(model.name, None)
            return
        if not self._may_try(champion):
            return
        try:
            predictor = self._load(champion)
        except RegistryError:
            raise  # that is no fault of the bundle
        except NoriaError as error:
            self._refuse(champion, str(error))
            return
        self._refusals.pop(model.name, None)
        since = self._clock.now()
        self._swap(ServedModel(model.use_case, predictor, champion.version, champion.digest, since, Origin.REGISTRY))

    def _may_try(self, champion: Champion) -> bool:
        refusal = self._refusals.get(champion.use_case)
        return refusal is None or refusal.champion != champion or monotonic() >= refusal.retry_at

    def _refuse(self, champion: Champion, reason: str) -> None:
        earlier = self._refusals.get(champion.use_case)
        again = earlier is not None and earlier.champion == champion
        pause = min(earlier.pause * 2, _LAST_RETRY) if earlier and again else _FIRST_RETRY
        self._refusals[champion.use_case] = Refusal(champion, reason, monotonic() + pause, pause)
        self._metrics.refused.labels(champion.use_case).inc()
        _log.error(
            "version %s of %s is refused, the version before it keeps answering; next try in %.0f s: %s",
            *(champion.version, champion.use_case, pause, reason),
        )

    def _load(self, champion: Champion) -> Predictor:
        """The champion's predictor, from disk where it is there already, else from the registry."""
        folder = self._store.folder(champion.use_case, champion.digest)
        if folder.is_dir():
            try:
                return _load_for(champion.use_case, folder, champion.digest)
            except BundleError as error:
                _log.warning("fetching it again: %s", error)
        self._store.fetch(
            champion.use_case, champion.digest, lambda name, into: self._registry.download(champion, name, into)
        )
        try:
            return _load_for(champion.use_case, folder, champion.digest)
        except BundleError:
            self._store.discard(champion.use_case, champion.digest)
            raise

    def _swap(self, model: ServedModel) -> None:
        before = self._models.get(model.name).version
        self._models.put(model)
        self._metrics.swaps.labels(model.name).inc()
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
            predictor = _load_for(use_case.name, self._store.folder(use_case.name, pointer.digest), pointer.digest)
        except BundleError as error:
            _log.warning("%s: the last good version cannot be loaded, the rule answers: %s", use_case.name, error)
            return None
        return ServedModel(use_case, predictor, pointer.version, pointer.digest, self._clock.now(), Origin.DISK)

    def _rule(self, use_case: UseCase) -> ServedModel:
        return ServedModel(use_case, baseline_predictor(use_case), BASELINE_VERSION, "", self._clock.now(), Origin.RULE)


def _load_for(use_case: str, folder: Path, digest: str) -> Predictor:
    predictor = load_predictor(folder, digest)
    if predictor.manifest.use_case != use_case:
        raise BundleError(f"{folder}: is a bundle of {predictor.manifest.use_case}, not of {use_case}; register it again")
    return predictor


def _fingerprint(root: Path) -> Mapping[str, int]:
    """Changes when a use case is added, edited or removed."""
    found = {}
    for path in root.glob(f"*/{FILE_NAME}"):
        try:
            found[path.parent.name] = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found
