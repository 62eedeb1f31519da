"""The tasks of a rollout: begin it, and wait without a worker until it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from noria.core.base.errors import RegistryError
from noria.core.lifecycle.rollout import RolloutResult, RolloutState
from noria.core.use_case import RolloutPolicy, UseCase
from noria_airflow.approval import ApprovalResponse, asked_by
from noria_airflow.runs import current_as_of, current_step, to_xcom

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from noria_airflow.runs import TaskContext

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

    @task(doc_md="Let the candidate score beside the champion, for a small share of the requests.")
    def start_rollout(candidate: dict[str, Any], approval: dict[str, Any] | None = None) -> dict[str, Any]:
        return to_xcom(start(current_step(name), candidate, approval))

    @task.sensor(
        mode="reschedule",
        poke_interval=poke_seconds(policy),
        timeout=timeout_seconds(policy),
        outlets=[model],
        doc_md="Step by step to every request, without a worker in between. A challenger that does harm is taken back, and "
        "fails this task with the reason.",
    )
    def await_rollout(begun: dict[str, Any]) -> PokeReturnValue:
        step = current_step(name)
        result = is_over(step, begun)
        if result is None:
            return PokeReturnValue(is_done=False)
        step.emit_asset_event(model, {"version": result.challenger, "previous": result.champion})
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


def start(step: TaskContext, candidate: Mapping[str, Any], approval: Mapping[str, Any] | None) -> RolloutResult:
    """Let a candidate score beside the champion; a task that is repeated finds the rollout that it began.

    Args:
        step: the task's surroundings.
        candidate: what training handed on.
        approval: what the person answered; None where nobody was asked.

    Raises:
        AirflowSkipException: it is champion already, and no rollout of it is to be waited for.
        AirflowFailException: the approval does not count, or it may not be rolled out; another try would not change that.
    """
    from noria.core.base.errors import ApprovalError, RolloutError
    from noria.core.base.results import VersionRef
    from noria.jobs import rollout

    registered, answer = VersionRef.model_validate(candidate), ApprovalResponse.of(approval)
    reason = "; ".join(part for part in (current_as_of(step).reason, registered.summary, answer.reason) if part)
    try:
        begun = rollout.start(
            step.services, step.use_case, registered, actor=asked_by(step), approved_by=answer.who, reason=reason
        )
    except ApprovalError as error:
        raise AirflowFailException(f"{error}. Clear the task `approve` to be asked again") from error
    except RolloutError as error:
        raise AirflowFailException(str(error)) from error
    if begun is None:
        raise AirflowSkipException(f"version {registered.version} is champion already")
    return begun


def is_over(step: TaskContext, begun: Mapping[str, Any]) -> RolloutResult | None:
    """Take one turn; the rollout where its challenger has become champion, None where there is something to wait for.

    Args:
        step: the task's surroundings.
        begun: what `start` handed on.

    Raises:
        AirflowFailException: the challenger was taken back, or somebody ended the rollout; says why.
        AirflowSkipException: neither version was shown to be better, so the champion stays.
    """
    from noria.jobs import rollout

    try:
        result = rollout.advance(step.services, step.use_case, actor=asked_by(step))
    except RegistryError:
        _LOG.exception("the registry does not answer; the rollout goes on as it is, and is looked at again")
        return None
    if result.id != begun["id"]:
        raise AirflowFailException(f"another rollout has begun meanwhile, of version {result.challenger}")
    if not result.is_over:
        _LOG.info("version %s answers %s %%; it waits for %s", result.challenger, result.share, result.waiting_for)
        return None
    if result.promoted:
        return result
    if result.state is RolloutState.COMPLETED:
        raise AirflowSkipException(f"version {result.challenger} is not promoted: {result.reason}")
    raise AirflowFailException(
        f"version {result.challenger} is not promoted, it was {result.state.replace('_', ' ')}: {result.reason}"
    )
