"""Approval by a person before promotion: the approver is handed on; a rejection stops the run, and is recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import BaseOperatorLink, Param
from airflow.sdk.exceptions import AirflowFailException

from noria.core.base.formatting import one_line
from noria.core.use_case import UseCase
from noria_airflow.retries import retry_arguments

if TYPE_CHECKING:
    from airflow.sdk import Context

    from noria_airflow.runs import TaskContext

_LOG = logging.getLogger(__name__)
APPROVE_WITHIN = timedelta(days=7)
EVIDENCE = "model card and evaluation"
"""Key of the XCom with the address of a version's evidence, and name of the button that opens it."""
_REASON = "reason"


@dataclass(frozen=True)
class ApprovalResponse:
    """What a person answered, and why.

    Attributes:
        yes: whether they approved.
        who: their name; empty if no one was asked.
        reason: what they wrote; may be empty.
    """

    yes: bool
    who: str
    reason: str

    @classmethod
    def of(cls, event: Mapping[str, Any] | None) -> ApprovalResponse:
        """Read what Airflow hands on; None if no one was asked."""
        said = event or {}
        user = said.get("responded_by_user") or {}
        return cls(
            yes=ApprovalOperator.APPROVE in (said.get("chosen_options") or ()),
            who=str(user.get("name") or user.get("id") or ""),
            reason=str((said.get("params_input") or {}).get(_REASON) or "").strip(),
        )


class HumanApproval(ApprovalOperator):
    """Waits for a person, without a worker. A no fails the run, in plain sight: clearing the task asks again.

    Args:
        use_case: its name.
        candidate: id of the task that registered what is to be approved.
        kwargs: what `ApprovalOperator` takes.
    """

    def __init__(self, *, use_case: str, candidate: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_case = use_case
        self.candidate = candidate

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Hand a yes on.

        Raises:
            AirflowFailException: the answer is no.
        """
        said = HITLOperator.execute_complete(self, context, event)  # the approval's own would skip what follows, silently
        answer = ApprovalResponse.of(said)
        if not answer.yes:
            self._write_down(context, answer)
        return said

    def _write_down(self, context: Context, answer: ApprovalResponse) -> None:
        from noria.core.base.results import VersionRef
        from noria.jobs import release
        from noria_airflow.runs import current_context

        run = current_context(self.use_case)
        candidate = VersionRef.model_validate(context["ti"].xcom_pull(task_ids=self.candidate))
        why = answer.reason or "no reason given"
        release.reject(run.services, run.use_case, candidate, actor=answer.who or "unknown", reason=why)
        raise AirflowFailException(f"version {candidate.version} is not promoted: {answer.who} said no: {why}")


class EvidenceLink(BaseOperatorLink):
    """A button on a task's page that opens model card and evaluation of the version that its run made."""

    name = EVIDENCE
    xcom_key = EVIDENCE

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Address of the version that the task pushed as XCom `EVIDENCE`; empty where it made none.

        Called in the task's own process when it ends; Airflow's pages read the address from the XCom.

        Args:
            operator: the task.
            ti_key: the task instance that ends.
        """
        return str(ti_key.xcom_pull(task_ids=operator.task_id, key=EVIDENCE) or "")


def ask(use_case: UseCase, question: str, candidate: str) -> HumanApproval:
    """The task that asks whether a candidate may be promoted.

    Args:
        use_case: whose candidate it is.
        question: what stands above the buttons, in Markdown.
        candidate: id of the task that registered it.
    """
    return HumanApproval(
        task_id="approve",
        use_case=use_case.name,
        candidate=candidate,
        subject=f"Promote a new model? {use_case.title}",
        body=question,
        params={
            _REASON: Param("", type="string", title="Why", description="Kept in the audit trail; a no should have one.")
        },
        response_timeout=APPROVE_WITHIN,
        **retry_arguments(HITLTimeoutError),
        doc_md="Someone else than who triggered the run says yes or no under Required Actions. "
        "A no, or no answer in a week, fails the run.",
    )


def question_message(use_case: UseCase, *, version: str, summary: str, question: str, evidence: str) -> EmailMessage:
    """The e-mail to the owner that a version waits for an answer.

    Args:
        use_case: whose version it is.
        version: its number.
        summary: quality and money in one line.
        question: address of the page with the buttons.
        evidence: address of its model card and evaluation.
    """
    message = EmailMessage()
    message["Subject"] = one_line(f"[please decide] {use_case.name} version {version}: {use_case.title}")
    message["To"] = use_case.owner
    message.set_content(
        f"Version {version} of {use_case.name} passed its gates and waits for a person's approval:\n\n{summary}\n\n"
        f"Yes or no:                  {question}\n"
        f"Model card and evaluation:  {evidence}\n\n"
        f"Somebody else than who started the training must answer, within {APPROVE_WITHIN.days} days; until then the "
        "model that serves now goes on.\n"
    )
    return message


def mail_question(run: TaskContext, version: str, summary: str) -> None:
    """Mail the owner that a version waits; once per run. A mail that cannot be sent does not keep people from answering."""
    from noria.core.base.errors import NotifyError
    from noria.jobs import mail

    dag_id = run.context["dag_run"].dag_id
    page = f"{run.services.settings.airflow_url.rstrip('/')}/dags/{dag_id}/runs/{quote(run.run_id, safe='')}"
    message = question_message(
        run.use_case,
        version=version,
        summary=summary,
        question=f"{page}/tasks/approve/required_actions",
        evidence=evidence_page(run, version),
    )
    try:
        mail.send(run.services, run.use_case, message, key=f"question/{dag_id}/{run.run_id}")
    except NotifyError:
        _LOG.exception("version %s waits for an answer, and the mail to the owner could not be sent", version)


def requested_by(run: TaskContext) -> str:
    """Who wants the promotion: the person who triggered the run, or the run itself where time or an event did."""
    dag_run = run.context["dag_run"]
    return str(dag_run.triggering_user_name or f"airflow {dag_run.dag_id} {dag_run.run_id}")


def evidence_page(run: TaskContext, version: str) -> str:
    """Address of a version in the registry, with its model card and evaluation, for a person's browser."""
    public = run.services.settings.mlflow_public_url.rstrip("/")
    return f"{public}/#/models/{run.use_case.name}/versions/{version}"
