"""Steps of the data pipeline: ingest, validate, transform."""

from __future__ import annotations

from noria.bootstrap import Services
from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult, QualityResult, TransformResult
from noria.core.use_case import UseCase
from noria.ports.data_steps import CheckedStage


def ingest(services: Services, use_case: UseCase, interval: Interval) -> IngestResult:
    """Replace the interval in every raw table, and fill the lookback before it where no run has brought it yet.

    Raises:
        SourceError: a source cannot be read, or lacks a column.

    Example:
        >>> ingest(services, use_case, interval).rows
        {'parcels': 3}
    """
    return services.data_steps.ingest(use_case, interval)


def validate(services: Services, use_case: UseCase, interval: Interval, stage: CheckedStage) -> QualityResult:
    """Hold the interval's rows against the use case's expectations; features that pass may be used from then on.

    Raises:
        QualityError: a critical expectation failed; says which rows.

    Example:
        >>> validate(services, use_case, interval, "raw").warnings
        ()
    """
    result = services.data_steps.validate(use_case, interval, stage)
    if stage == "features":
        services.features.release(use_case, interval)
    return result


def transform(services: Services, use_case: UseCase, interval: Interval) -> TransformResult:
    """Build the interval's features and labels with dbt, and test them; they are kept from use until they are validated.

    Raises:
        TransformError: a model or a test failed; names it, with the rows that fail.

    Example:
        >>> transform(services, use_case, interval).rows
        {'ftr_parcels': 3, 'lbl_parcels': 3}
    """
    services.features.quarantine(use_case, interval)
    return services.data_steps.transform(use_case, interval)
