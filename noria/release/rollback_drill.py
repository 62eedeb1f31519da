"""Goes through promotion and roll-back on a scratch model, so that a roll-back has been done before it is needed.

The scratch model is a registered model of its own, `rehearsal_of_<use case>`, that nothing serves. The newest trained bundle
is registered there, promoted, fetched as serving would fetch it, rolled back, and the alias is read after each step: the
same code, the same registry and the same audit trail as a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noria.core.base.errors import RegistryError
from noria.core.base.results import Result, VersionRef
from noria.core.lifecycle.audit_event import Action, AuditEntry
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import GateOutcome, ModelVersion
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import Approval, UseCase
from noria.ports.audit_trail import AuditTrail
from noria.ports.model_registry import ModelRegistry
from noria.release.promotion import promote, roll_back

PREFIX = "rehearsal_of_"
_REASON = "a rehearsal"


class RollbackDrill(Result):
    """A promotion and a roll-back that were gone through."""

    version: str
    """Of the use case: whose bundle was used."""
    scratch: str
    """The registered model that was promoted and rolled back."""
    steps: tuple[str, ...]


@dataclass(frozen=True)
class _Scratch:
    registry: ModelRegistry
    audit: AuditTrail
    use_case: UseCase
    cache: Path
    actor: str

    def register(self, baseline: ModelVersion, version: ModelVersion) -> VersionRef:
        """Both bundles, under the scratch model's name; the same bundle again is the version that is there."""
        name, registry = self.use_case.name, self.registry
        registry.register_baseline(name, registry.download(baseline, self.cache), baseline.bundle_digest)
        bundle = registry.download(version, self.cache)
        outcome = GateOutcome(passed=True, summary=_REASON, judged_against=BASELINE_VERSION)
        key = f"rehearsal-{version.bundle_digest[:16]}"
        return registry.register(name, bundle, version.bundle_digest, key=key, params={}, outcome=outcome).reference()

    def clear(self) -> None:
        """Roll back the champion that a killed drill left."""
        while self.registry.champion(self.use_case.name).version != BASELINE_VERSION:
            roll_back(self.registry, self.audit, self.use_case, actor=self.actor, reason="left by an earlier rehearsal")

    def serving(self, expected: str) -> str:
        """Fetch the champion as serving does, its checksums checked, and say which it is.

        Raises:
            RegistryError: it is another version than the step before made champion.
        """
        champion = self.registry.champion(self.use_case.name)
        self.registry.download(champion, self.cache)
        if champion.version != expected:
            raise RegistryError(
                f"rehearsal: {self.use_case.name} should serve version {expected}, and serves {champion.version}; "
                "look at its aliases in the registry"
            )
        return f"version {champion.version} serves, its files are whole"


def run_rollback_drill(
    registry: ModelRegistry, audit: AuditTrail, use_case: UseCase, *, cache: Path, actor: str
) -> RollbackDrill:
    """Promote and roll back the newest trained version in a scratch model; written down in the use case's own trail.

    Raises:
        RegistryError: no version was trained yet, or a step did not do what it must.
    """
    versions = registry.versions(use_case.name)
    newest = versions[-1]
    if newest.version == BASELINE_VERSION:
        raise RegistryError(f"{use_case.name} has no trained version to rehearse with; train one first")
    scratch_case = use_case.model_copy(update={"name": f"{PREFIX}{use_case.name}", "approval": Approval.AUTOMATIC})
    scratch = _Scratch(registry, audit, scratch_case, cache, actor)
    candidate = scratch.register(versions[0], newest)
    scratch.clear()
    promote(registry, audit, scratch_case, PromotionRequest(candidate, actor=actor, reason=_REASON, allow_retired=True))
    steps = [f"promoted: {scratch.serving(candidate.version)}"]
    roll_back(registry, audit, scratch_case, actor=actor, reason=_REASON)
    steps.append(f"rolled back: {scratch.serving(BASELINE_VERSION)}")
    audit.append(
        AuditEntry(
            use_case=use_case.name,
            action=Action.REHEARSED,
            version=newest.version,
            previous=registry.champion(use_case.name).version,
            as_of=newest.as_of,
            actor=actor,
            reason="promotion and roll-back were gone through on a scratch model",
            evidence={"scratch": scratch_case.name, "bundle_digest": newest.bundle_digest},
        )
    )
    return RollbackDrill(version=newest.version, scratch=scratch_case.name, steps=tuple(steps))
