"""Steps of the data pipeline: ingest, validate, transform."""

from __future__ import annotations

from typing import Literal

from noria.bootstrap import Services
from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult, QualityResult, TransformResult
from noria.core.use_case import UseCase


def ingest(services: Services, use_case: UseCase, interval: Interval) -> IngestResult:
    """Replace the interval in every raw table, and fill the lookback before it where no run has brought it yet."""
    from noria.data.ingest.ingest import ingest as run
    from noria.settings import source_url

    return run(
        services.warehouse,
        use_case,
        services.folder(use_case),
        interval,
        pseudonym_key=services.settings.pseudonym_key.get_secret_value(),
        source_url=source_url,
        now=services.clock.now(),
    )


def validate(services: Services, use_case: UseCase, interval: Interval, stage: Literal["raw", "features"]) -> QualityResult:
    """Hold the interval's rows against the use case's expectations; features that pass may be used from then on.

    Raises:
        QualityError: a critical expectation failed; says which rows.
    """
    from noria.data.quality.validation import validate as run

    result = run(services.warehouse, use_case, services.folder(use_case), interval, stage)
    if stage == "features":
        services.features.release(use_case, interval)
    return result


def transform(services: Services, use_case: UseCase, interval: Interval) -> TransformResult:
    """Build the interval's features and labels with dbt, and test them; nobody uses them until they are validated."""
    from noria.data.transform.dbt_run import transform as run

    services.features.quarantine(use_case, interval)
    return run(services.warehouse, use_case, interval, services.settings.dbt_project, services.settings.home / "dbt")
