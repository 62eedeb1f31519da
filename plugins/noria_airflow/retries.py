"""Which failures a second try can mend."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from noria.core.base.errors import (
    AuditError,
    InstanceError,
    IntervalError,
    NotEnoughDataError,
    PromotionConflictError,
    QualityError,
    RuleError,
    SettingsError,
    UseCaseError,
)

FINAL: tuple[type[Exception], ...] = (
    AuditError,
    InstanceError,
    IntervalError,
    NotEnoughDataError,
    PromotionConflictError,
    QualityError,
    RuleError,
    SettingsError,
    UseCaseError,
)
"""Errors that say the same however often one asks: someone must change the data, the use case or a setting first."""


def retry_arguments(*also_final: type[Exception]) -> dict[str, Any]:
    """What every task has: two more tries for what passes by itself, such as a database that restarts.

    Args:
        also_final: further errors that another try would not change.
    """
    rule = RetryRule(exception=[*FINAL, *also_final], action=RetryAction.FAIL, reason="trying again would not change this")
    return {
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": ExceptionRetryPolicy(rules=[rule]),
    }
