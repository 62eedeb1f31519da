"""Steps that decide which version serves: approval, promotion, roll-back, rehearsal, and the trail of who did what.

Airflow tasks and the command line call these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noria.bootstrap import Services
from noria.core.base.errors import RegistryError
from noria.core.base.results import PromotionResult, VersionRef
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.registry import ModelVersion
from noria.core.model.bundle import BASELINE_VERSION, Manifest, baseline_manifest
from noria.core.use_case import UseCase
from noria.io.bundle_files import read_manifest

if TYPE_CHECKING:
    from noria.core.lifecycle.audit_event import AuditEvent
    from noria.release.rollback_drill import RollbackDrill


def versions(services: Services, use_case: UseCase) -> tuple[ModelVersion, ...]:
    """Every version of a use case; version 0 is the baseline.

    Example:
        >>> [version.version for version in versions(services, use_case)], candidate.version
        (['0', '1'], '1')
    """
    return tuple(services.registry.versions(use_case.name))


def request_of(
    services: Services,
    use_case: UseCase,
    version: str | None,
    *,
    actor: str,
    reason: str = "",
    approved_by: str = "",
    allow_breaking: bool = False,
) -> PromotionRequest:
    """A person's request to promote a version, at once or in steps. With a reason, one that was rolled back may return.

    Args:
        services: the registry knows the version.
        use_case: whose version it is.
        version: None takes the challenger that waits.
        actor: who asks.
        reason: why; the version's summary where it is empty.
        approved_by: who else agreed; empty where no one was asked.
        allow_breaking: whether the version may refuse requests that apps send now.

    Raises:
        RegistryError: there is no such version, or no challenger waits.

    Example:
        >>> request_of(services, use_case, candidate.version, actor="ana", reason="reviewed").allow_retired
        True
    """
    number = version or services.registry.alias_state(use_case.name).challenger
    if number == BASELINE_VERSION and not version:
        raise RegistryError(
            f"{use_case.name} has no challenger that waits: name a version of `noria versions {use_case.name}`"
        )
    return PromotionRequest(
        services.registry.version(use_case.name, number).reference(),
        actor=actor,
        approved_by=approved_by,
        reason=reason,
        allow_retired=bool(reason),
        allow_breaking=allow_breaking,
    )


def set_challenger(services: Services, use_case: UseCase, candidate: VersionRef, *, actor: str) -> None:
    """Make a candidate whose gates passed challenger, so that people see which version waits.

    Example:
        >>> set_challenger(services, use_case, candidate, actor="a task")
        >>> services.registry.alias_state(use_case.name).challenger
        '1'
    """
    from noria.release.promotion import set_challenger as run

    run(services.registry, services.audit, use_case, candidate.version, actor=actor, reason=candidate.summary)


def promote(services: Services, use_case: UseCase, request: PromotionRequest) -> PromotionResult:
    """Make a version champion if its gates passed and the champion it was compared with still serves.

    Raises:
        ApprovalError: the use case asks for another person's approval.
        PromotionConflictError: the champion has moved since the gates were checked.

    Example:
        >>> done = promote(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> done.promoted, done.previous, services.registry.champion(use_case.name).version
        (True, '0', '1')
    """
    from noria.release.promotion import promote as run

    changes = () if request.allow_breaking else breaking_changes_of(services, use_case, request.candidate.version)
    return run(services.registry, services.audit, use_case, request, changes)


def breaking_changes_of(services: Services, use_case: UseCase, version: str) -> tuple[str, ...]:
    """Changes by which apps of the champion could no longer ask, or would misread answers, if a version took its place.

    Example:
        >>> from noria.core.use_case import CategoricalFeature
        >>> breaking_changes_of(services, use_case, candidate.version)
        ()
        >>> _ = promote(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> depot = {"categorical": {"depot": CategoricalFeature(required=True)}}
        >>> stricter = use_case.model_copy(update={"features": use_case.features.model_copy(update=depot)})
        >>> breaking_changes_of(services, stricter, "0")
        ('depot would have to be sent: it is required, and was not',)
    """
    from noria.core.model.compatibility import breaking_changes

    def manifest_of(found: ModelVersion) -> Manifest:
        if found.version == BASELINE_VERSION:
            return baseline_manifest(use_case)
        return read_manifest(services.registry.download(found, services.settings.bundles), found.bundle_digest)

    champion, following = services.registry.champion(use_case.name), services.registry.version(use_case.name, version)
    return breaking_changes(manifest_of(champion), manifest_of(following), use_case)


def reject(services: Services, use_case: UseCase, candidate: VersionRef, *, actor: str, reason: str) -> None:
    """Record that a person rejected a candidate.

    Example:
        >>> reject(services, use_case, candidate, actor="ben", reason="too many warnings at night")
        >>> services.audit.events(use_case.name)[-1].reason
        'too many warnings at night'
    """
    from noria.release.promotion import reject as run

    run(services.registry, services.audit, use_case, candidate.version, actor=actor, reason=reason)


def roll_back(services: Services, use_case: UseCase, *, actor: str, reason: str, approved_by: str = "") -> PromotionResult:
    """Make the champion before this one champion again; version 0 where there is none.

    Example:
        >>> _ = promote(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> done = roll_back(services, use_case, actor="ben", reason="complaints")
        >>> done.version, done.previous
        ('0', '1')
    """
    from noria.release.promotion import roll_back as run

    return run(services.registry, services.audit, use_case, actor=actor, reason=reason, approved_by=approved_by)


def rehearse(services: Services, use_case: UseCase, *, actor: str) -> RollbackDrill:
    """Go through promotion and roll-back of the newest trained version on a scratch model.

    Example:
        >>> drill = rehearse(services, use_case, actor="ana")
        >>> drill.version == candidate.version, drill.scratch
        (True, 'rehearsal_of_parcels')
        >>> drill.steps[-1]
        'rolled back: version 0 serves, its files are whole'
    """
    from noria.release.rollback_drill import run_rollback_drill as run

    return run(services.registry, services.audit, use_case, cache=services.settings.bundles, actor=actor)


def audit_events(services: Services, use_case: UseCase | None) -> tuple[AuditEvent, ...]:
    """Events of the audit trail, oldest first; of one use case, or of all where it is None.

    Example:
        >>> reject(services, use_case, candidate, actor="ben", reason="odd answers")
        >>> [(event.action.words, event.actor) for event in audit_events(services, use_case)]
        [('rejected', 'ben')]
    """
    return services.audit.events(use_case.name if use_case else None)


def verify_audit(services: Services) -> int:
    """Recompute the audit trail's chain of hashes; returns the number of events.

    Raises:
        AuditError: an event was altered, removed or inserted; names the first one that does not fit.

    Example:
        >>> _ = promote(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> verify_audit(services)
        2
    """
    return services.audit.verify()
