"""Model versions: what is known of each, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from noria.core.base.results import VersionRef

EVIDENCE = "evidence"
"""Folder of a version's run with what people read before they trust it: model card, evaluation pages."""


class Stage(StrEnum):
    """Role of a version."""

    CANDIDATE = "candidate"
    CHALLENGER = "challenger"
    """Serves a share of the requests beside the champion, or is only compared with it."""
    CHAMPION = "champion"
    RETIRED = "retired"
    """Was champion once; stays so as a challenger, until it is champion again."""


class AliasState(BaseModel):
    """The version in each role. "0" is the baseline as champion or as its predecessor, and no version as challenger."""

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
