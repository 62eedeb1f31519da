"""Registered versions to promote, and a kill in the middle of a promotion."""

from datetime import UTC, datetime
from pathlib import Path

from noria.core.base.results import VersionRef
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import Manifest, Provenance
from noria.core.model.signature import Field, Kind, Signature
from noria.io.bundle_files import write_bundle
from noria.testing.fakes.interruption import Killed

AS_OF = {"1": datetime(2024, 5, 1, tzinfo=UTC), "2": datetime(2024, 6, 1, tzinfo=UTC), "3": datetime(2024, 7, 1, tzinfo=UTC)}


def a_bundle(folder: Path, as_of: datetime | None) -> tuple[Path, str]:
    provenance = Provenance(as_of=as_of, snapshot="5" * 64, specification="6" * 64, seed=7) if as_of else None
    manifest = Manifest(
        use_case="parcels",
        kind="rule",
        candidate="linear",
        signature=Signature(fields=(Field(name="hour", kind=Kind.NUMERIC),)),
        threshold=0.5,
        rule="hour >= 18",
        provenance=provenance,
    )
    return folder, write_bundle(folder, manifest, {})


def a_candidate(registry, folder: Path, version: str, *, champion: str = "0", passed: bool = True) -> VersionRef:
    bundle, digest = a_bundle(folder / "bundles" / version, AS_OF[version])
    outcome = GateOutcome(passed=passed, summary="roc_auc 0.71 (baseline 0.55)", judged_against=champion)
    registered = registry.register("parcels", bundle, digest, key=version, params={}, outcome=outcome)
    assert registered.version == version
    return VersionRef(
        version=version,
        bundle_digest=digest,
        run_id=registered.run_id,
        passed=passed,
        summary=outcome.summary,
        champion=champion,
    )


def actions(audit) -> list[tuple[Action, str]]:
    return [(event.action, event.version) for event in audit.events("parcels")]


def killed(*_args: object) -> None:
    raise Killed
