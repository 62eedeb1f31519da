"""From rows to an assessment; pure, so that the same rows give the same verdict."""

from __future__ import annotations

from monitoring.assessment import Assessment, Performance
from monitoring.performance import account, measure_performance
from monitoring.rows import Reference, ScoredRows
from monitoring.segments import worst_segments
from noria.core.bundle import Manifest
from noria.core.drift import FeatureDrift, compare, measure_drift
from noria.core.interval import Interval
from noria.core.signature import Field, Kind
from noria.core.use_case import UseCase
from noria.core.verdict import Findings, judge

_SCORE = Field(name="score", kind=Kind.NUMERIC, description="probability that the model gives")


def assess(
    use_case: UseCase,
    interval: Interval,
    *,
    version: str,
    manifest: Manifest,
    rows: ScoredRows,
    reference: Reference | None,
    training_runs: int,
) -> Assessment:
    """Judge an interval.

    Args:
        use_case: has the policy and the money.
        interval: what is judged.
        version: the version that scored the rows.
        manifest: of that version's bundle.
        rows: the interval's rows.
        reference: what the version was evaluated on; None for version 0.
        training_runs: trainings to be charged to this interval.
    """
    policy = use_case.monitoring.drift
    features = _features(manifest, rows, reference, policy.effect_size)
    performance = measure_performance(use_case, rows, manifest.threshold, manifest.metrics)
    findings = Findings(
        rows=len(rows),
        labelled=performance.labelled,
        features=len(features),
        drifted=sum(feature.drifted for feature in features),
        roc_auc=performance.metrics.get("roc_auc"),
        promised_roc_auc=performance.promised.get("roc_auc"),
    )
    judgement = judge(findings, policy)
    return Assessment(
        use_case=use_case.name,
        start=interval.start,
        end=interval.end,
        version=version,
        verdict=judgement.verdict,
        reason=judgement.reason,
        rows=len(rows),
        reference_rows=len(reference.rows) if reference else 0,
        features=features,
        prediction=_prediction(rows, reference, policy.effect_size),
        label=_label(use_case, rows, reference, performance),
        performance=performance,
        segments=worst_segments(use_case, rows, reference),
        money=account(use_case, interval, rows, training_runs),
    )


def _features(
    manifest: Manifest, rows: ScoredRows, reference: Reference | None, threshold: float
) -> tuple[FeatureDrift, ...]:
    return measure_drift(reference.rows.columns, rows.columns, manifest.signature, threshold) if reference else ()


def _prediction(rows: ScoredRows, reference: Reference | None, threshold: float) -> FeatureDrift | None:
    if reference is None:
        return None
    return compare(_SCORE, reference.rows.scores.tolist(), rows.scores.tolist(), threshold)


def _label(
    use_case: UseCase, rows: ScoredRows, reference: Reference | None, performance: Performance
) -> FeatureDrift | None:
    if reference is None or not performance.labelled:
        return None
    field = Field(name=use_case.label.column, kind=Kind.CATEGORICAL)
    before, now = _in_words(reference.rows), _in_words(rows)
    return compare(field, before, now, use_case.monitoring.drift.effect_size)


def _in_words(rows: ScoredRows) -> list[str]:
    return ["yes" if label else "no" for label in rows.labels[rows.known]]
