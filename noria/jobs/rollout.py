"""Steps of a rollout: a version whose gates passed takes over beside the champion, and is rolled back when it does harm.

Airflow tasks and the command line call these. Each may be called again, by two at once too, and does its work once; the mail
about a turn goes out once. A mail that cannot be sent stops nothing: the next call tries it again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noria.bootstrap import Services
from noria.core.base.errors import NotifyError
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.rollout import Rollout, RolloutResult
from noria.core.lifecycle.rollout_decision import RolloutComparison
from noria.core.use_case import UseCase
from noria.jobs.release import breaking_changes_of

if TYPE_CHECKING:
    from noria.rollout.controller import RolloutController

_LOG = logging.getLogger(__name__)
_DAY = 86_400


@dataclass(frozen=True)
class RolloutStatus:
    """A rollout, and what its judge says of it now."""

    rollout: Rollout
    comparison: RolloutComparison
    rows: int
    """Rows that the challenger scored in the present step."""
    idle: bool = False
    """Whether no request has come for as long as the rollout's `idle` says."""


def start(services: Services, use_case: UseCase, request: PromotionRequest) -> RolloutResult | None:
    """Let a version score beside the champion; a rollout of it that is live goes on as it is.

    Returns:
        its state; None if the version became champion without a rollout, so that there is nothing to wait for.

    Raises:
        RolloutError: the use case has no section rollout, another version is rolled out, this one was rolled back before and
            the request does not allow its return, or it breaks apps and the request does not allow that.
        ApprovalError: the use case asks for another person's approval.
        PromotionConflictError: the champion has moved since the gates were checked.

    Example:
        >>> begun = start(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> begun.champion, begun.challenger, begun.share
        ('0', '1', 5)
        >>> services.mailer.subjects
        ['[rollout started] Parcels, version 1: it answers 5 %']
    """
    controller, version = _controller(services, use_case, request.actor), request.candidate.version
    if controller.serves_without_rollout(version):
        return None
    changes = () if request.allow_breaking else breaking_changes_of(services, use_case, version)
    return _mailed(services, use_case, controller.start(request, changes))


def pause(services: Services, use_case: UseCase, *, actor: str, reason: str) -> RolloutResult:
    """Stay at the present share until somebody resumes.

    Example:
        >>> _ = start(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> pause(services, use_case, actor="ben", reason="odd answers").state.value
        'paused'
    """
    return _mailed(services, use_case, _controller(services, use_case, actor).pause(reason))


def resume(services: Services, use_case: UseCase, *, actor: str, reason: str) -> RolloutResult:
    """Go on; the present step begins again.

    Example:
        >>> _ = start(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> _ = pause(services, use_case, actor="ben", reason="odd answers")
        >>> resume(services, use_case, actor="ben", reason="they were right").state.value
        'running'
    """
    return _mailed(services, use_case, _controller(services, use_case, actor).resume(reason))


def abort(services: Services, use_case: UseCase, *, actor: str, reason: str) -> RolloutResult:
    """Let the champion answer everything again.

    Example:
        >>> _ = start(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> ended = abort(services, use_case, actor="ben", reason="odd answers")
        >>> ended.state.value, ended.share
        ('aborted', 0)
    """
    return _mailed(services, use_case, _controller(services, use_case, actor).abort(reason))


def advance(services: Services, use_case: UseCase, *, actor: str) -> RolloutResult:
    """Judge once, then wait, step, promote or roll back.

    Raises:
        RolloutError: there never was a rollout.

    Example:
        >>> _ = start(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> advance(services, use_case, actor="a task").waiting_for
        'the time of this step: 0:02:00 left'
        >>> services.clock.advance(minutes=2)
        >>> advance(services, use_case, actor="a task").waiting_for
        'more requests: it scored 0 of 50 rows in this step'
    """
    moves = _controller(services, use_case, actor)
    seen = rollout_status(services, use_case)
    step = moves.advance(seen.rollout, seen.comparison, seen.rows, idle=seen.idle)
    return _mailed(services, use_case, step.rollout, step.waiting_for)


def rollout_status(services: Services, use_case: UseCase) -> RolloutStatus:
    """Where the rollout stands, and what its judge says; changes nothing.

    Raises:
        RolloutError: there never was one.

    Example:
        >>> _ = start(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> seen = rollout_status(services, use_case)
        >>> seen.rollout.share, seen.rows, seen.comparison.summary
        (5, 0, '0 rows against 0 of the champion, 0 with a label')
    """
    rollout = _controller(services, use_case, actor="").current()
    if not rollout.is_live:
        return RolloutStatus(rollout, RolloutComparison(), 0)
    rows = services.served.count_since(use_case, rollout.challenger.version, rollout.since)
    return RolloutStatus(rollout, _judged(services, use_case, rollout), rows, _is_idle(services, use_case, rollout))


def _is_idle(services: Services, use_case: UseCase, rollout: Rollout) -> bool:
    idle, now = rollout.policy.idle, services.clock.now()
    if not idle or now - rollout.since < idle:
        return False
    return not services.served.any_since(use_case, now - idle)


def _judged(services: Services, use_case: UseCase, rollout: Rollout) -> RolloutComparison:
    from noria.rollout.analysis import compare_versions
    from noria.rollout.scores import scores_of

    now = services.clock.now()
    champion, challenger = rollout.champion.version, rollout.challenger.version
    rows = services.served.rows_since(use_case, (champion, challenger), rollout.started_at, now)
    days = (now - rollout.started_at).total_seconds() / _DAY
    return compare_versions(
        use_case, rollout, scores_of(use_case, rows, champion), scores_of(use_case, rows, challenger), days=days
    )


def _controller(services: Services, use_case: UseCase, actor: str) -> RolloutController:
    from noria.rollout.controller import RolloutController

    return RolloutController(services.registry, services.audit, services.clock, use_case, actor)


def _mailed(services: Services, use_case: UseCase, rollout: Rollout, waiting_for: str = "") -> RolloutResult:
    """The result, after the mail about the last event was sent."""
    from noria.rollout.email import compose, key_of, rollout_email

    settings = services.settings
    letter = rollout_email(use_case, rollout, airflow_url=settings.airflow_url, serving_url=settings.serving_url)
    try:
        services.mailer.deliver(compose(use_case, letter), key=key_of(rollout), use_case=use_case.name)
    except NotifyError:
        _LOG.exception(
            "the mail about the rollout of version %s (%s) could not be sent", rollout.challenger.version, rollout.event
        )
    return RolloutResult.of(rollout, waiting_for)
