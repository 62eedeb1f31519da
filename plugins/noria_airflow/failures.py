"""E-mail to the owner that a run failed: once per run, with the error and the way to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

from noria.core.base.formatting import one_line
from noria.core.use_case import UseCase

_LOG = logging.getLogger(__name__)


def failure_message(use_case: UseCase, *, dag_id: str, run_id: str, partition_key: str | None, url: str) -> EmailMessage:
    """The e-mail about a failed run."""
    of = f" of {partition_key}" if partition_key else ""
    message = EmailMessage()
    message["Subject"] = one_line(f"[failed] {dag_id}{of}: {use_case.title}")
    message["To"] = use_case.owner
    message.set_content(
        f"The run{of} of {dag_id} failed; what depends on it has not been run.\n\n"
        f"Which task, and why:  {url}/dags/{dag_id}/runs/{quote(run_id, safe='')}\n\n"
        "When the cause is mended, clear the failed task there: it and what follows run again, for this interval only.\n"
    )
    return message


def mail_owner(use_case: UseCase) -> Callable[[Mapping[str, Any]], None]:
    """A DAG's `on_failure_callback`."""

    def on_failure(context: Mapping[str, Any]) -> None:
        from noria.bootstrap import bootstrap
        from noria.jobs import mail

        # Airflow leaves `dag_run` out when no task of the run is left that it could describe.
        run, dag_id, run_id = context.get("dag_run"), context["dag"].dag_id, context["run_id"]
        services = bootstrap()
        message = failure_message(
            use_case,
            dag_id=dag_id,
            run_id=run_id,
            partition_key=run.partition_key if run else None,
            url=services.settings.airflow_url.rstrip("/"),
        )
        result = mail.send(services, use_case, message, key=f"failed/{dag_id}/{run_id}")
        _LOG.info("mailed %s that %s failed: %s", use_case.owner, run_id, result.message_id)

    return on_failure
