"""From rows to an assessment; pure, so that the same rows give the same verdict."""

from __future__ import annotations

from monitoring.assessment.outcomes import label_field, label_values, prediction_field, prediction_values
from monitoring.assessment.performance import account, ask_rule, measure_performance
from monitoring.assessment.rows import Reference, ScoredRows
from monitoring.assessment.segments import worst_segments
from noria.core.base.interval import Interval
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.lifecycle.monitoring_verdict import MonitoringFindings, decide_verdict
from noria.core.model.bundle import Manifest
from noria.core.stats.drift import FeatureDrift, compare, measure_drift
from noria.core.use_case import UseCase


def assess(
    use_case: UseCase,
    interval: Interval,
    *,
    version: str,
    manifest: Manifest,
    rows: ScoredRows,
    reference: Reference | None,
    training_runs: int,
) -> DriftReport:
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
    policy, limit = use_case.monitoring.drift, use_case.monitoring.drift.effect_size
    features = measure_drift(reference.rows.columns, rows.columns, manifest.signature, limit) if reference else ()
    rule = ask_rule(use_case, rows.columns)
    performance = measure_performance(use_case, rows, rule, threshold=manifest.threshold, promised=manifest.metrics)
    findings = MonitoringFindings(
        rows=len(rows),
        labelled=performance.labelled,
        features=len(features),
        drifted=sum(feature.drifted for feature in features),
        quality=performance.quality(use_case.task),
    )
    judgement = decide_verdict(findings, policy)
    return DriftReport(
        use_case=use_case.name,
        task=use_case.task,
        start=interval.start,
        end=interval.end,
        version=version,
        verdict=judgement.verdict,
        reason=judgement.reason,
        rows=len(rows),
        reference_rows=len(reference.rows) if reference else 0,
        features=features,
        prediction=_prediction(use_case, rows, reference),
        label=_label(use_case, rows, reference),
        performance=performance,
        segments=worst_segments(use_case, rows, rule, reference, manifest.threshold),
        money=account(use_case, interval, rows, rule, training_runs),
    )


def _prediction(use_case: UseCase, rows: ScoredRows, reference: Reference | None) -> FeatureDrift | None:
    if reference is None:
        return None
    before, now = prediction_values(use_case, reference.rows), prediction_values(use_case, rows)
    return compare(prediction_field(use_case), before, now, use_case.monitoring.drift.effect_size)


def _label(use_case: UseCase, rows: ScoredRows, reference: Reference | None) -> FeatureDrift | None:
    if reference is None or not rows.known.any():
        return None
    before, now = (label_values(use_case, part.take(part.known)) for part in (reference.rows, rows))
    return compare(label_field(use_case), before, now, use_case.monitoring.drift.effect_size)
