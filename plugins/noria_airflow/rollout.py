"""The tasks of a rollout: begin it, and wait without a worker until it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from noria.core.base.errors import RegistryError
from noria.core.base.results import VersionRef
from noria.core.lifecycle.rollout import RolloutResult, RolloutState
from noria.core.use_case import RolloutPolicy, UseCase
from noria_airflow.approval import requested_by
from noria_airflow.promotion import request_of
from noria_airflow.runs import TaskContext, to_xcom
from noria_airflow.tasks import noria_task

if TYPE_CHECKING:
    from airflow.sdk import Asset

_LOG = logging.getLogger(__name__)
_SLACK = timedelta(days=1)
"""A rollout ends by itself; the task's own limit is for one that was paused and forgotten."""


def tasks(use_case: UseCase, policy: RolloutPolicy, model: Asset) -> Callable[..., Any]:
    """The two tasks that stand where `promote` stands without a rollout, as one function that puts them into a DAG.

    Args:
        use_case: whose they are.
        policy: its section `rollout`.
        model: what is announced when the challenger has become champion.
    """
    name = use_case.name

    @noria_task(name, doc_md="Let the candidate score beside the champion, for a small share of the requests.")
    def start_rollout(run: TaskContext, candidate: VersionRef, approval: dict[str, Any] | None = None) -> RolloutResult:
        return start(run, candidate, approval)

    @noria_task(
        name,
        decorator=task.sensor,
        mode="reschedule",
        poke_interval=poke_seconds(policy),
        timeout=timeout_seconds(policy),
        outlets=[model],
        doc_md="Step by step to every request, without a worker in between. A challenger that does harm is rolled back, and "
        "fails this task with the reason.",
    )
    def await_rollout(run: TaskContext, begun: RolloutResult) -> PokeReturnValue:
        result = is_over(run, begun)
        if result is None:
            return PokeReturnValue(is_done=False)
        run.emit_asset_event(model, {"version": result.challenger, "previous": result.champion})
        return PokeReturnValue(is_done=True, xcom_value=to_xcom(result))

    def put_in_place(candidate: Any, *approval: Any) -> Any:
        begun: Any = start_rollout(candidate, *approval)
        await_rollout(begun)
        return begun

    return put_in_place


def poke_seconds(policy: RolloutPolicy) -> float:
    """How often to look: a quarter of a step, from every ten seconds to every five minutes."""
    return min(max(policy.bake.total_seconds() / 4, 10.0), 300.0)


def timeout_seconds(policy: RolloutPolicy) -> float:
    """How long the waiting task may wait."""
    return (policy.stop.at_most + _SLACK).total_seconds()


def start(run: TaskContext, candidate: VersionRef, approval: Mapping[str, Any] | None) -> RolloutResult:
    """Let a version score beside the champion; a task that is repeated finds the rollout that it began.

    Args:
        run: context of the task.
        candidate: the version, as training handed it on.
        approval: a person's response as Airflow hands it on; None where no approval was asked for.

    Raises:
        AirflowSkipException: it is champion already, and no rollout of it is to be waited for.
        AirflowFailException: the approval does not count, or it may not be rolled out; a retry would not change that.
    """
    from noria.core.base.errors import ApprovalError, RolloutError
    from noria.jobs import rollout

    try:
        begun = rollout.start(run.services, run.use_case, request_of(run, candidate, approval))
    except ApprovalError as error:
        raise AirflowFailException(f"{error}. Clear the task `approve` to be asked again") from error
    except RolloutError as error:
        raise AirflowFailException(str(error)) from error
    if begun is None:
        raise AirflowSkipException(f"version {candidate.version} is champion already")
    return begun


def is_over(run: TaskContext, begun: RolloutResult) -> RolloutResult | None:
    """Decide the next step; the result once the challenger is champion, None while the rollout goes on.

    Args:
        run: context of the task.
        begun: the rollout, as `start` handed it on.

    Raises:
        AirflowFailException: the challenger was rolled back, or a person ended the rollout; says why.
        AirflowSkipException: neither version was shown to be better, so the champion stays.
    """
    from noria.jobs import rollout

    try:
        result = rollout.advance(run.services, run.use_case, actor=requested_by(run))
    except RegistryError:
        _LOG.exception("the registry does not answer; the rollout goes on as it is, and is looked at again")
        return None
    if result.id != begun.id:
        raise AirflowFailException(f"another rollout has begun meanwhile, of version {result.challenger}")
    if not result.is_over:
        _LOG.info("version %s answers %s %%; it waits for %s", result.challenger, result.share, result.waiting_for)
        return None
    if result.promoted:
        return result
    if result.state is RolloutState.COMPLETED:
        raise AirflowSkipException(f"version {result.challenger} is not promoted: {result.reason}")
    raise AirflowFailException(f"version {result.challenger} is not promoted, it was {result.state.words}: {result.reason}")
