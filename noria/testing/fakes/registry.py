"""A model registry in memory that follows the port; the contract suite runs over it and over MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.registry import EVIDENCE, AliasState, GateOutcome, ModelVersion, Stage
from noria.core.lifecycle.rollout import GuardReport, Rollout
from noria.core.model.bundle import BASELINE_VERSION
from noria.io.bundle_files import read_manifest


class InMemoryRegistry:
    """`noria.ports.model_registry.ModelRegistry` without a server. Bundles stay where they were registered from."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, ModelVersion]] = {}
        self._folders: dict[str, Path] = {}
        self._evidence: dict[tuple[str, str], Path] = {}
        self._alias_states: dict[str, AliasState] = {}
        self._retired: set[tuple[str, str]] = set()
        self.moves: list[tuple[str, str]] = []
        """Every champion that was set, in order: (use case, version)."""
        self._rollouts: dict[str, Rollout] = {}
        self.guard_reports: dict[str, GuardReport] = {}
        """Reports of serving, by use case; a test puts it there."""
        self.trainings: dict[str, Mapping[str, str]] = {}
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
        self,
        use_case: str,
        bundle: Path,
        digest: str,
        *,
        key: str,
        params: Mapping[str, str],
        outcome: GateOutcome,
        evidence: Path | None = None,
    ) -> ModelVersion:
        """Store a trained bundle as a new version; the same key again returns the version that is there."""
        if found := self.find(use_case, key):
            return found
        manifest = read_manifest(bundle, digest)
        if manifest.provenance is None:
            raise RegistryError(f"the bundle of {use_case} does not say what it was made from; train it again")
        if evidence is not None and not evidence.is_dir():
            raise RegistryError(f"{evidence}: is not a folder; the evidence of {use_case} is a folder of pages, or none")
        self.trainings[key] = dict(params)
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
            passed=outcome.passed,
            summary=outcome.summary,
            judged_against=outcome.judged_against,
            key=key,
        )
        if evidence is not None and any(evidence.iterdir()):
            self._evidence[use_case, number] = evidence
        return self.version(use_case, number)

    def find(self, use_case: str, key: str) -> ModelVersion | None:
        """The version that was registered under a key."""
        found = (number for number, version in self._of(use_case).items() if version.key == key)
        number = next(found, None)
        return self.version(use_case, number) if number else None

    def params(self, version: ModelVersion) -> Mapping[str, str]:
        """Parameters of the training that made a version; empty for version 0."""
        return self.trainings.get(version.key, {})

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
        return self.version(use_case, self._roles(use_case).champion)

    def alias_state(self, use_case: str) -> AliasState:
        """Champion, challenger and the champion before."""
        if not self._of(use_case):
            raise RegistryError(f"there is no model of {use_case}")
        return self._roles(use_case)

    def set_champion(self, use_case: str, version: str) -> None:
        """Make a version champion ("0": none); the outgoing one becomes previous."""
        self.version(use_case, version)
        before = self._roles(use_case)
        self._retired.add((use_case, before.champion))
        self._alias_states[use_case] = AliasState(
            champion=version,
            challenger=BASELINE_VERSION if before.challenger == version else before.challenger,
            previous=before.previous if before.champion == version else before.champion,
        )
        self.moves.append((use_case, version))

    def set_challenger(self, use_case: str, version: str) -> None:
        """Make a version challenger ("0": none)."""
        roles = self.alias_state(use_case)
        if version != BASELINE_VERSION and self.version(use_case, version).version == roles.champion:
            raise RegistryError(f"version {version} of {use_case} is champion already; choose another one as challenger")
        self._alias_states[use_case] = roles.model_copy(update={"challenger": version})

    def rollout(self, use_case: str) -> Rollout | None:
        """The rollout that is under way, or the last one."""
        self.alias_state(use_case)
        return self._rollouts.get(use_case)

    def set_rollout(self, rollout: Rollout) -> None:
        """Keep a rollout's document in place of the one before."""
        self.alias_state(rollout.use_case)
        self._rollouts[rollout.use_case] = Rollout.model_validate_json(rollout.model_dump_json())

    def guard_report(self, use_case: str) -> GuardReport | None:
        """Report of serving when it last rolled back a challenger by itself."""
        self.alias_state(use_case)
        return self.guard_reports.get(use_case)

    def download(self, version: ModelVersion, cache: Path) -> Path:  # noqa: ARG002 - the port has a cache
        """The bundle's folder."""
        folder = self._folders[version.bundle_digest]
        read_manifest(folder, version.bundle_digest)
        return folder

    def download_evidence(self, version: ModelVersion, into: Path) -> Path | None:
        """The folder of model card and evaluation pages, copied into `into`; None where the version has none."""
        evidence = self._evidence.get((version.use_case, version.version))
        return None if evidence is None else Path(shutil.copytree(evidence, into / EVIDENCE, dirs_exist_ok=True))

    def _of(self, use_case: str) -> Mapping[str, ModelVersion]:
        return self._versions.get(use_case, {})

    def _roles(self, use_case: str) -> AliasState:
        return self._alias_states.get(use_case, AliasState())

    def _stage(self, use_case: str, version: str) -> Stage:
        roles = self._roles(use_case)
        if version == roles.champion:
            return Stage.CHAMPION
        if version == BASELINE_VERSION or (use_case, version) in self._retired:
            return Stage.RETIRED
        return Stage.CHALLENGER if version == roles.challenger else Stage.CANDIDATE
