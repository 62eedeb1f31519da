"""Made-up versions, reports and trails for the tests of this room."""

from datetime import UTC, datetime
from pathlib import Path

from noria.core.lifecycle.evaluation import (
    Difference,
    Estimate,
    EvaluationReport,
    Fairness,
    GateResult,
    ReferenceResult,
    SegmentMetrics,
    ValueLine,
)
from noria.core.lifecycle.gates import check_gates
from noria.core.model.bundle import EVALUATION, Manifest, Provenance
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import UseCase
from noria.io.bundle_files import write_bundle
from noria.reports.lineage import IngestedRange, Lineage, SourceLineage
from noria.testing.builders import a_use_case

MAY, JUNE = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
SNAPSHOT = "5" * 64
GATES = [
    {"metric": "roc_auc", "at_least": 0.6},
    {"metric": "value", "better_than": "baseline"},
    {"metric": "value", "better_than": "champion", "mode": "dry_run"},
    {"metric": "recall", "worst_segment_at_least": 0.3},
    {"metric": "demographic_parity", "at_most": 0.3},
]
RISKS = [
    {"risk": "Customers of one depot are warned for nothing", "severity": "high", "mitigation": "Watched", "gate": "recall"},
    {"risk": "A strike is <never> seen", "severity": "low", "mitigation": "The desk takes over"},
]


def a_whole_use_case(root: Path, **changes) -> UseCase:
    """A use case that documents everything."""
    business = {
        "decision": "send a warning",
        "currency": "EUR",
        "value": {"true_positive": 5, "false_positive": -1, "false_negative": -3, "true_negative": 0},
        "baseline": "hour >= 18",
        "costs": {"monthly": 120},
    }
    fields = {"gates": GATES, "risks": RISKS, "protected": ["depot"], "business": business}
    return a_use_case(root, **(fields | changes))


def an_estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def a_report(**changes) -> EvaluationReport:
    lead = Difference(value=512.0, low=410.0, high=610.0, p_not_better=0.005)
    loss = Difference(value=-110.0, low=-260.0, high=41.0, p_not_better=0.9)
    fields = {
        "start": "2024-04-01T00:00:00+00:00",
        "end": "2024-06-01T00:00:00+00:00",
        "rows": 12_000,
        "positives": 2_900,
        "threshold": 0.2,
        "metrics": {"roc_auc": 0.71, "recall": 0.8, "value": 812.0, "latency_ms": 0.07},
        "intervals": {"roc_auc": an_estimate(0.71, 0.02), "value": an_estimate(812.0, 120.0)},
        "segments": (
            SegmentMetrics(segment="depot", value="north", rows=7000, judged=True, metrics={"recall": 0.7, "value": 900.0}),
            SegmentMetrics(segment="depot", value="south", rows=4900, judged=True, metrics={"recall": 0.35, "value": 500.0}),
            SegmentMetrics(segment="depot", value="moon", rows=100, judged=False, metrics={}),
            SegmentMetrics(segment="event_month", value="2024-04", rows=6000, judged=True, metrics={"value": 700.0}),
            SegmentMetrics(segment="event_month", value="2024-05", rows=6000, judged=True, metrics={"value": 900.0}),
        ),
        "rivals": (
            ReferenceResult(
                name="baseline", version="0", metrics={"roc_auc": 0.6, "value": 300.0}, differences={"value": lead}
            ),
            ReferenceResult(
                name="champion", version="2", metrics={"roc_auc": 0.7, "value": 922.0}, differences={"value": loss}
            ),
        ),
        "values": tuple(
            ValueLine(name=name, per_1000=an_estimate(value, 100.0))
            for name, value in (
                ("candidate", 812.0),
                ("champion", 922.0),
                ("baseline", 300.0),
                ("nothing", -725.0),
                ("perfect", 1208.0),
            )
        ),
        "fairness": (
            Fairness(
                attribute="depot",
                demographic_parity=0.12,
                disparate_impact=0.81,
                equalised_odds=None,
                intervals={"demographic_parity": an_estimate(0.12, 0.034), "disparate_impact": an_estimate(0.81, 0.25)},
                groups=(),
            ),
        ),
        "search_metric": "average_precision",
        "calibrated_by": "isotonic",
        "parity": 1e-7,
        "note": "Judged before it was fitted again on all rows.",
    }
    return EvaluationReport(**{**fields, **changes})


def a_manifest(name: str = "parcels") -> Manifest:
    return Manifest(
        use_case=name,
        kind="rule",
        candidate="gradient_boosting",
        signature=Signature(
            fields=(
                Field(name="weight", kind=Kind.NUMERIC, description="Weight", unit="kg", minimum=0, maximum=61.5),
                Field(name="depot", kind=Kind.CATEGORICAL, categories=("north", "south", "harbour")),
            )
        ),
        threshold=0.2,
        rule="weight > 3",
        provenance=Provenance(as_of=JUNE, snapshot=SNAPSHOT, specification="6" * 64, seed=7),
    )


def a_bundle(folder: Path, name: str) -> tuple[Path, str]:
    return folder, write_bundle(folder, a_manifest(name), {EVALUATION: a_report().model_dump_json().encode()})


def a_lineage() -> Lineage:
    return Lineage(
        snapshot=SNAPSHOT,
        as_of=JUNE,
        rows=50_000,
        positives=12_000,
        features="features.ftr_parcels",
        labels="labels.lbl_parcels",
        sources=(
            SourceLineage(
                name="parcels",
                origin="data/*.csv",
                table="raw.parcels__parcels",
                stretches=(IngestedRange(start=datetime(2024, 1, 1, tzinfo=UTC), end=JUNE, rows=51_234, ingested_at=JUNE),),
                rows=51_234,
                ingested_at=JUNE,
            ),
        ),
    )


def judged(use_case: UseCase) -> tuple[GateResult, ...]:
    return check_gates(use_case.gates, a_report())
