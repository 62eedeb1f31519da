"""A model registry in memory that keeps the promises of the port; the contract suite runs over it and over MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from noria.core.bundle import BASELINE_VERSION, read_manifest
from noria.core.errors import RegistryError
from noria.core.registry import ModelVersion, Stage


class InMemoryRegistry:
    """`noria.core.registry.ModelRegistry` without a server. Bundles stay where they were registered from."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, ModelVersion]] = {}
        self._folders: dict[str, Path] = {}
        self._champions: dict[str, str] = {}
        self._retired: set[tuple[str, str]] = set()
        self.moves: list[tuple[str, str]] = []
        """Every champion that was set, in order: (use case, version)."""
        self.params: dict[str, Mapping[str, str]] = {}
        """Parameters of every registered training, by key."""

    def register_baseline(self, use_case: str, bundle: Path, digest: str) -> ModelVersion:
        """Make sure that the model and its version 0 are there; harmless when they are."""
        read_manifest(bundle, digest)
        self._folders[digest] = bundle
        self._versions.setdefault(use_case, {})[BASELINE_VERSION] = ModelVersion(
            use_case=use_case,
            version=BASELINE_VERSION,
            stage=Stage.CANDIDATE,
            bundle_digest=digest,
            run_id=f"run-{digest[:8]}",
        )
        return self.version(use_case, BASELINE_VERSION)

    def register(
        self, use_case: str, bundle: Path, digest: str, *, key: str, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> ModelVersion:
        """Store a trained bundle as a new version; the same key again returns the version that is there."""
        if found := self.find(use_case, key):
            return found
        manifest = read_manifest(bundle, digest)
        if manifest.provenance is None:
            raise RegistryError(f"the bundle of {use_case} does not say what it was made from; train it again")
        self.params[key] = dict(params)
        self._folders[digest] = bundle
        versions = self._versions.setdefault(use_case, {})
        number = str(max((int(version) for version in versions), default=0) + 1)
        versions[number] = ModelVersion(
            use_case=use_case,
            version=number,
            stage=Stage.CANDIDATE,
            bundle_digest=digest,
            run_id=f"run-{number}",
            as_of=manifest.provenance.as_of,
            snapshot=manifest.provenance.snapshot,
            metrics=manifest.metrics,
            tags={**tags, "key": key, "bundle_digest": digest},
        )
        return self.version(use_case, number)

    def find(self, use_case: str, key: str) -> ModelVersion | None:
        """The version that was registered under a key."""
        found = (number for number, version in self._of(use_case).items() if version.tags.get("key") == key)
        number = next(found, None)
        return self.version(use_case, number) if number else None

    def version(self, use_case: str, version: str) -> ModelVersion:
        """One version."""
        if version not in self._of(use_case):
            raise RegistryError(f"there is no version {version} of {use_case}")
        return self._of(use_case)[version].model_copy(update={"stage": self._stage(use_case, version)})

    def versions(self, use_case: str) -> tuple[ModelVersion, ...]:
        """All versions, version 0 first."""
        numbers = sorted({BASELINE_VERSION, *self._of(use_case)}, key=int)
        return tuple(self.version(use_case, number) for number in numbers)

    def champion(self, use_case: str) -> ModelVersion:
        """The version that serves; version 0 where nothing was promoted."""
        return self.version(use_case, self._champions.get(use_case, BASELINE_VERSION))

    def set_champion(self, use_case: str, version: str) -> None:
        """Make a version champion ("0": none)."""
        self.version(use_case, version)
        self._retired.add((use_case, self._champions.get(use_case, BASELINE_VERSION)))
        self._champions[use_case] = version
        self.moves.append((use_case, version))

    def download(self, version: ModelVersion, cache: Path) -> Path:  # noqa: ARG002 - the port has a cache
        """The bundle's folder."""
        folder = self._folders[version.bundle_digest]
        read_manifest(folder, version.bundle_digest)
        return folder

    def _of(self, use_case: str) -> Mapping[str, ModelVersion]:
        return self._versions.get(use_case, {})

    def _stage(self, use_case: str, version: str) -> Stage:
        if version == self._champions.get(use_case, BASELINE_VERSION):
            return Stage.CHAMPION
        retired = version == BASELINE_VERSION or (use_case, version) in self._retired
        return Stage.RETIRED if retired else Stage.CANDIDATE
