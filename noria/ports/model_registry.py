"""The port of the registry that keeps model versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from noria.core.lifecycle.registry import AliasState, GateOutcome, ModelVersion
from noria.core.lifecycle.rollout import GuardReport, Rollout


class ModelRegistry(Protocol):
    """Keeps versions and says which one is champion.

    Every method raises RegistryError when the registry refuses or cannot be reached.
    """

    def register_baseline(self, use_case: str, bundle: Path, digest: str) -> ModelVersion:
        """Make sure that the model and its version 0 are there; harmless when they are."""
        ...

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
        """Store a trained bundle as a new version.

        Args:
            use_case: whose model.
            bundle: the sealed folder; what its manifest does not list stays behind.
            digest: the bundle's digest.
            key: identifies the training; registering the same key again returns the version that is there.
            params: hyperparameters and the like, for people.
            outcome: of the gates.
            evidence: folder of model card and evaluation pages, kept as it is; None where there are none.
        """
        ...

    def find(self, use_case: str, key: str) -> ModelVersion | None:
        """The version that was registered under a key."""
        ...

    def params(self, version: ModelVersion) -> Mapping[str, str]:
        """Parameters of the training that made a version; empty for version 0."""
        ...

    def version(self, use_case: str, version: str) -> ModelVersion:
        """One version."""
        ...

    def versions(self, use_case: str) -> tuple[ModelVersion, ...]:
        """All versions, version 0 first."""
        ...

    def champion(self, use_case: str) -> ModelVersion:
        """The version that serves; version 0 where nothing was promoted."""
        ...

    def alias_state(self, use_case: str) -> AliasState:
        """Champion, challenger and the champion before."""
        ...

    def set_champion(self, use_case: str, version: str) -> None:
        """Move the champion alias ("0" removes it). Only `noria.release.promotion` calls this, under its lock.

        The outgoing champion becomes `previous`, and a challenger that wins is challenger no longer. The champion is the
        only truth: a call that is killed leaves either champion, and the same call again completes the rest.
        """
        ...

    def set_challenger(self, use_case: str, version: str) -> None:
        """Move the challenger alias ("0" removes it).

        Raises:
            RegistryError: there is no such version, or it is champion already.
        """
        ...

    def rollout(self, use_case: str) -> Rollout | None:
        """The rollout that is under way, or the last one; None where there never was one."""
        ...

    def set_rollout(self, rollout: Rollout) -> None:
        """Keep a rollout's document in place of the one before. Only `noria.rollout.controller` calls this, under the
        lock of promotions. The document is whole or not written.
        """
        ...

    def guard_report(self, use_case: str) -> GuardReport | None:
        """Report of serving when it last rolled a challenger back by itself, in any rollout; None if it never did."""
        ...

    def download(self, version: ModelVersion, cache: Path) -> Path:
        """The bundle's folder under `cache`, fetched unless it is there; checked against its digest."""
        ...

    def download_evidence(self, version: ModelVersion, into: Path) -> Path | None:
        """The folder of model card and evaluation pages, fetched into `into`; None where the version has none."""
        ...
