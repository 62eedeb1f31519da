"""The steps of monitoring. Airflow tasks and the command line call these and nothing deeper.

Each takes an explicit interval and can be run again: it replaces what it made, mails a report once, and asks for training
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from noria.bootstrap import Services
from noria.core.base.interval import Interval
from noria.core.base.results import MonitorResult, NotifyResult, RetrainResult
from noria.core.model.bundle import BASELINE_VERSION, Manifest, sha256
from noria.core.use_case import UseCase
from noria.io.bundle_files import read_manifest

if TYPE_CHECKING:
    from monitoring.assessment.rows import ScoredRows
    from monitoring.retraining import Retraining
    from noria.core.lifecycle.drift_report import DriftReport

_LINES_SHOWN = 6


def monitor(services: Services, use_case: UseCase, interval: Interval) -> MonitorResult:
    """Judge an interval: drift against the scoring version's own reference set, decisions against what happened, money.

    Raises:
        TransformError: the interval was not scored, or its features were rebuilt since.
    """
    from monitoring.assessment.assess import assess
    from monitoring.assessment.rows import read_reference, read_scored_interval
    from monitoring.email.wording import summarise

    number, rows = read_scored_interval(services.features, services.predictions, use_case, interval)
    version = services.registry.version(use_case.name, number)
    folder = services.registry.download(version, services.settings.bundles)
    manifest = read_manifest(folder, version.bundle_digest)
    reference = read_reference(use_case, folder, manifest)
    assessment = assess(
        use_case,
        interval,
        version=number,
        manifest=manifest,
        rows=rows,
        reference=reference,
        training_runs=_training_runs(services, use_case, interval),
    )
    report = ""
    if reference is not None:
        report = str(_write_report(services, use_case, assessment, manifest, reference=reference.rows, rows=rows))
    services.verdicts.record(assessment, report, services.clock.now())
    return MonitorResult(version=number, verdict=assessment.verdict.value, report=report, summary=summarise(assessment))


def notify(services: Services, use_case: UseCase, interval: Interval) -> NotifyResult:
    """Mail the recorded verdict to the use case's owners, once however often it is asked for.

    Raises:
        NotifyError: the SMTP server could not be reached or refused.
        NoriaError: the interval has no verdict.
    """
    from monitoring.email.chart import describe_money, draw_money
    from monitoring.email.content import report_email
    from monitoring.email.message import attach, compose

    stored = services.verdicts.read(use_case, interval)
    name = f"{use_case.name}-{_folder_name(interval)}-drift"
    attachment, where = attach(Path(stored.report), name) if stored.report else (None, "")
    decision = retraining(services, use_case).preview(interval)
    mail = report_email(use_case, stored.assessment, decision, services.settings, where)
    ledger = services.verdicts.ledger(use_case, interval.end, _LINES_SHOWN)
    message = compose(
        mail,
        use_case.monitoring.email,
        chart=draw_money(use_case, ledger),
        chart_words=describe_money(use_case, ledger),
        attachment=attachment,
    )
    key = f"{use_case.name}/{interval}/{_digest(stored.assessment, use_case.monitoring.email)}"
    return services.mailer.deliver(message, key=key, use_case=use_case.name)


def decide_retrain(services: Services, use_case: UseCase, interval: Interval, run_id: str) -> RetrainResult:
    """Decide whether the verdict over an interval wakes training, and record the request; one request per as-of date.

    Args:
        services: where verdicts and requests are.
        use_case: has the policy.
        interval: whose verdict is new.
        run_id: who asks; the same run asking again gets the same answer.
    """
    return retraining(services, use_case).decide(interval, run_id=run_id, now=services.clock.now())


def report_path(services: Services, use_case: UseCase, interval: Interval, version: str) -> Path:
    """Path of an interval's drift report; the same for every replay."""
    return services.settings.reports / use_case.name / _folder_name(interval) / f"drift-{version}.html"


def _write_report(
    services: Services,
    use_case: UseCase,
    assessment: DriftReport,
    manifest: Manifest,
    *,
    reference: ScoredRows,
    rows: ScoredRows,
) -> Path:
    from monitoring.email.wording import period
    from monitoring.evidently_report import write_report
    from noria.core.base.formatting import display_name

    interval = Interval(assessment.start, assessment.end)
    path = report_path(services, use_case, interval, assessment.version)
    title = f"{display_name(use_case.name)}, {period(interval)}"
    write_report(path, use_case, assessment, manifest.signature, reference, rows, title=title)
    return path


def _training_runs(services: Services, use_case: UseCase, interval: Interval) -> int:
    """Trainings to be charged to the interval: those whose as-of date is in it."""
    versions = services.registry.versions(use_case.name)
    return sum(version.as_of is not None and version.as_of in interval for version in versions)


def retraining(services: Services, use_case: UseCase) -> Retraining:
    """The retrain policy of a use case at work on its verdicts."""
    from monitoring.retraining import Retraining

    return Retraining(
        services.verdicts,
        use_case,
        version_at=lambda at: services.audit.version_in_force(use_case.name, at),
        labels_since=lambda version, until: _new_labels(services, use_case, version, until),
    )


def _new_labels(services: Services, use_case: UseCase, version: str, until: datetime) -> int:
    """Labels known by `until` that the version's training set could not have."""
    wait = use_case.label.available_after
    as_of = None if version == BASELINE_VERSION else services.registry.version(use_case.name, version).as_of
    since = datetime.combine(use_case.schedule.start, time(), UTC) if as_of is None else as_of - wait
    return len(services.features.read_labels(use_case, Interval(since, until), until)) if since < until else 0


def _digest(assessment: DriftReport, recipients: Sequence[str]) -> str:
    """Identifies what a report says and to whom; a replay that finds the same is the same report."""
    return sha256(f"{assessment.model_dump_json()}{sorted(recipients)}".encode())[:16]


def _folder_name(interval: Interval) -> str:
    start = interval.start
    return f"{start:%Y-%m-%d}" if start.time() == time() else f"{start:%Y-%m-%dT%H%M}"
