"""Batch scoring of an interval."""

from __future__ import annotations

from noria.bootstrap import Services
from noria.core.base.interval import Interval
from noria.core.base.results import ScoreResult
from noria.core.lifecycle.registry import ModelVersion
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.use_case import UseCase
from noria.jobs.training import ensure_baseline


def score(services: Services, use_case: UseCase, interval: Interval) -> ScoreResult:
    """Predict every entity of the interval with the version in force when it began, and replace its batch predictions.

    Raises:
        QualityError: the interval's features have not passed their checks.

    Example:
        >>> result = score(services, use_case, interval)
        >>> result.version, result.rows
        ('0', 9)
        >>> score(services, use_case, interval) == result
        True
    """
    from noria.inference.predictor import load_predictor

    services.features.refuse_quarantined(use_case, interval)
    version = version_in_force(services, use_case, interval)
    predictor = load_predictor(services.registry.download(version, services.settings.bundles), version.bundle_digest)
    rows = services.features.read_features(use_case, interval)
    scores = predictor.score_columns({name: rows[name].to_pylist() for name in predictor.manifest.signature.names})
    policy = predictor.manifest.policy
    return services.predictions.replace(
        use_case,
        interval,
        version.version,
        rows,
        scores,
        policy.decide(scores),
        classes=policy.classes,
    )


def version_in_force(services: Services, use_case: UseCase, interval: Interval) -> ModelVersion:
    """The latest champion that had seen nothing of the interval: its as-of date is at or before the interval's start.

    Business time decides, not the clock: a backfill scores January with what could have served January, and a replay
    gives the same version as long as no promotion is added or rolled back.

    Example:
        >>> from noria.core.lifecycle.promotion import PromotionRequest
        >>> from noria.jobs.release import promote
        >>> _ = promote(services, use_case, PromotionRequest(candidate, actor="ana"))
        >>> version_in_force(services, use_case, interval).version  # version 1 has seen April
        '0'
        >>> version_in_force(services, use_case, Interval.parse("2024-05-01", "2024-05-02")).version
        '1'
    """
    number = services.audit.version_in_force(use_case.name, interval.start)
    if number == BASELINE_VERSION:
        return ensure_baseline(services, use_case)
    return services.registry.version(use_case.name, number)
