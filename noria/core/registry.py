"""Model versions and the port to whatever keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict


class Stage(StrEnum):
    """Where a version stands."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"
    RETIRED = "retired"


class ModelVersion(BaseModel):
    """One version of a use case's model. Version "0" is the rule; trained versions count from "1" as in the registry."""

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
    tags: Mapping[str, str] = {}


class ModelRegistry(Protocol):
    """Keeps versions and says which one is champion.

    Every method raises RegistryError when the registry refuses or cannot be reached.
    """

    def register_baseline(self, use_case: str, bundle: Path, digest: str) -> ModelVersion:
        """Make sure that the model and its version 0 are there; harmless when they are."""
        ...

    def register(
        self, use_case: str, bundle: Path, digest: str, *, key: str, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> ModelVersion:
        """Store a trained bundle as a new version.

        Args:
            key: identifies the training; registering the same key again returns the version that is there.
        """
        ...

    def find(self, use_case: str, key: str) -> ModelVersion | None:
        """The version that was registered under a key."""
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

    def set_champion(self, use_case: str, version: str) -> None:
        """Move the champion alias ("0" removes it). Only `noria.governance.promotion` calls this, under its lock."""
        ...

    def download(self, version: ModelVersion, cache: Path) -> Path:
        """The bundle's folder under `cache`, fetched unless it is there; checked against its digest."""
        ...
