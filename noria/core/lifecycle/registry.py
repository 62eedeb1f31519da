"""Model versions, and the port of the registry that keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from noria.core.base.results import VersionRef
from noria.core.lifecycle.rollout import GuardReport, Rollout

EVIDENCE = "evidence"
"""Folder of a version's run with what people read before they trust it: model card, evaluation pages."""


class Stage(StrEnum):
    """Where a version stands."""

    CANDIDATE = "candidate"
    CHALLENGER = "challenger"
    """Serves a share of the requests beside the champion, or is only compared with it."""
    CHAMPION = "champion"
    RETIRED = "retired"
    """Was champion once; stays so as a challenger, until it is champion again."""


class AliasState(BaseModel):
    """Which version holds which role. "0" is the baseline as champion or as its predecessor, and nobody as challenger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion: str = "0"
    challenger: str = "0"
    """Never the champion itself."""
    previous: str = "0"
    """The champion before this one; "0" also where it is not known. For people: a roll-back asks the audit trail."""


class ModelVersion(BaseModel):
    """One version of a use case's model. Version "0" is the baseline; trained versions count from "1" as in the registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    version: str
    stage: Stage
    bundle_digest: str
    run_id: str = ""
    as_of: datetime | None = None
    """Nothing that became known after this instant was used; None for version 0."""
    snapshot: str = ""
    """Digest of the training set; empty for version 0."""
    metrics: Mapping[str, float] = {}
    passed: bool | None = None
    """Whether every enforced gate passed; None for version 0, which has none."""
    summary: str = ""
    """One line: metrics against the baseline, and any failed gate."""
    judged_against: str = "0"
    """The champion when the gates were checked."""
    key: str = ""
    """Identifies the training; empty for version 0."""

    def reference(self) -> VersionRef:
        """Reference that steps hand to each other."""
        return VersionRef(
            version=self.version,
            bundle_digest=self.bundle_digest,
            run_id=self.run_id,
            passed=bool(self.passed),
            summary=self.summary,
            champion=self.judged_against,
        )


@dataclass(frozen=True)
class GateOutcome:
    """Outcome of a version's gates, as the registry keeps it.

    Attributes:
        passed: whether every enforced gate passed.
        summary: one line: metrics against the baseline, and any failed gate.
        judged_against: the champion when the gates were checked.
    """

    passed: bool
    summary: str
    judged_against: str


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
        """What serving reported when it last rolled a challenger back by itself, in any rollout; None if it never did."""
        ...

    def download(self, version: ModelVersion, cache: Path) -> Path:
        """The bundle's folder under `cache`, fetched unless it is there; checked against its digest."""
        ...

    def download_evidence(self, version: ModelVersion, into: Path) -> Path | None:
        """The folder of model card and evaluation pages, fetched into `into`; None where the version has none."""
        ...
