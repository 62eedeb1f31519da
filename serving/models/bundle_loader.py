"""Brings a version from the registry, or from disk if it is there, and checks it before it may score anything."""

from __future__ import annotations

import logging

from noria.core.base.errors import BundleError
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import UseCase
from noria.inference.predictor import Predictor, load_predictor
from serving.models.admission import admit
from serving.models.bundle_store import BundleStore, Pointer
from serving.models.registry_client import PublishedVersion, RegistryClient

_log = logging.getLogger(__name__)


class BundleLoader:
    """Loads champions and challengers alike: checksums, golden requests, and whether it fits the use case."""

    def __init__(self, registry: RegistryClient, store: BundleStore) -> None:
        self._registry = registry
        self._store = store

    def load(self, use_case: UseCase, version: PublishedVersion) -> Predictor:
        """The version's predictor; it fits the use case.

        Raises:
            BundleError: it is damaged, incomplete, gives other scores than when it was made, or does not fit.
            RegistryError: it cannot be fetched.
        """
        predictor = self._loaded_before(version)
        if predictor is None:
            return self._fetch(use_case, version)
        admit(use_case, predictor)
        return predictor

    def last_good(self, use_case: UseCase) -> tuple[Predictor, Pointer] | None:
        """The version that answered last, from disk; None if that was the baseline, or none answered yet.

        Raises:
            BundleError: it is damaged, or does not fit the use case any more.
        """
        pointer = self._store.pointer(use_case.name)
        if pointer is None or pointer.version == BASELINE_VERSION:
            return None
        predictor = load_predictor(self._store.folder(use_case.name, pointer.digest), pointer.digest)
        admit(use_case, predictor)
        return predictor, pointer

    def remember(self, use_case: str, pointer: Pointer) -> None:
        """Keep on disk which version answers, and remove bundles that answered long ago.

        Raises:
            OSError: the disk refuses.
        """
        self._store.point(use_case, pointer)
        self._store.prune(use_case, keep=pointer.digest)

    def _loaded_before(self, version: PublishedVersion) -> Predictor | None:
        folder = self._store.folder(version.use_case, version.digest)
        if not folder.is_dir():
            return None
        try:
            return load_predictor(folder, version.digest)
        except BundleError as error:
            _log.warning("fetching it again: %s", error)
            return None

    def _fetch(self, use_case: UseCase, version: PublishedVersion) -> Predictor:
        name, digest = version.use_case, version.digest
        folder = self._store.fetch(name, digest, lambda file, into: self._registry.download(version, file, into))
        try:
            predictor = load_predictor(folder, digest)
            admit(use_case, predictor)
        except BundleError:
            self._store.discard(name, digest)
            raise
        return predictor
