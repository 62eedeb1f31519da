"""From the best trial to a bundle: fit, calibrate, judge on rows that nothing else touched, refit on everything, seal.

The recipe is fitted three times, each time on more rows (in time: one slice later):

    1. on what lies before the calibration rows; its scores there calibrate model 2, and choose the threshold
    2. on what lies before the evaluation rows; judged there, once; its scores there calibrate model 3
    3. on all rows: this one is shipped

So every figure in the report was measured on rows that the measured model had not seen, and what serves has learnt from the
newest labels. docs/adr/0008-judge-then-refit.md says why and what it costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noria.core.base.interval import parse_instant
from noria.core.base.results import SnapshotRef
from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.model.bundle import (
    EVALUATION,
    EXPLAINER,
    GOLDEN,
    MODEL,
    REFERENCE,
    Manifest,
    Provenance,
    specification_digest,
)
from noria.core.model.decision import DecisionPolicy, Labels, Scores, policy_of
from noria.core.use_case import ConfusionValue, Task, UseCase
from noria.inference.predictor import OnnxPredictor, Predictor, baseline_predictor
from noria.io.bundle_files import write_bundle
from noria.training.bundle.environment import record_environment
from noria.training.bundle.explain import explainer_file
from noria.training.bundle.export import check_parity, golden_requests, latency, learnt_signature, reference_parquet
from noria.training.data.dataset import Fold, TrainingSet, read_snapshot
from noria.training.data.splits import calibration_split, final_split
from noria.training.data.target import target_of
from noria.training.evaluation.input import EvaluationInput
from noria.training.evaluation.report import evaluate
from noria.training.fit.calibrate import Calibrated, at_level, choose_calibration
from noria.training.fit.pipeline import FittedPipeline, Pipeline
from noria.training.fit.threshold import Threshold, choose_threshold
from noria.training.models.base.estimator import FitContext
from noria.training.models.base.threads import limited_threads
from noria.training.models.blend import BlendMember
from noria.training.models.trees.booster import cluster_of
from noria.training.models.trees.external_memory import is_stored
from noria.training.search.best_trial import RECIPE, record_trial
from noria.training.search.worker import BestTrial, best_trial

NOTE = (
    "Measured on the recipe fitted to everything before this slice; the shipped model is the same recipe (same "
    "hyperparameters and rule for the number of rounds) fitted to this slice as well, and calibrated on the scores measured "
    "here."
)
LATENCY = "latency_ms"
"""Differs from run to run, so that it is in the report that is handed on, and not in the bundle."""
_THREADS, _THREADS_OF_STORED_ROWS = 1, 4
"""Sums of floats may depend on how many threads share them, so the numbers are fixed: the same bytes on every machine, also
on one of fewer cores. Small fits are quickest on one."""


@dataclass(frozen=True)
class ModelBundle:
    """A bundle on disk and what was found out about it.

    Attributes:
        folder: where it is.
        digest: its digest.
        report: the report in the bundle, and `latency_ms`, which differs from run to run, among the metrics.
        params: what the registry keeps of the run.
    """

    folder: Path
    digest: str
    report: EvaluationReport
    params: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Trial:
    """The recipe on trial: the rows it was judged on, and what they taught the shipped model.

    Attributes:
        fold: its validation rows were judged, its training rows fitted the judged model.
        model: the judged model.
        scores: calibrated scores of the judged rows.
        policy: how scores become decisions.
        calibrated_by: how the judged scores were calibrated, in words.
        threshold: binary classification: the threshold and why.
        next: calibration of the shipped model.
    """

    fold: Fold
    model: FittedPipeline
    scores: Scores
    policy: DecisionPolicy
    calibrated_by: str
    threshold: Threshold | None
    next: Calibrated


@dataclass(frozen=True, eq=False)
class _Training:
    """Everything that goes into a bundle."""

    use_case: UseCase
    snapshot: SnapshotRef
    rows: TrainingSet
    best: BestTrial
    pipeline: Pipeline
    trial: _Trial
    shipped: FittedPipeline


def fit_bundle(
    use_case: UseCase,
    snapshot: SnapshotRef,
    *,
    champion: tuple[str, Predictor],
    storage_url: str,
    folder: Path,
    best: BestTrial | None = None,
    dask_scheduler: str = "",
) -> ModelBundle:
    """Fit the best trial of a snapshot's study, judge it, and write the bundle. Same snapshot and trial, same bytes.

    Args:
        use_case: what the business wants.
        snapshot: the training set.
        champion: version and predictor of the model that serves, judged on the same rows.
        storage_url: PostgreSQL that holds the study.
        folder: where the bundle is written.
        best: what to fit instead of the study's best trial, such as what an earlier version was made of.
        dask_scheduler: the setting NORIA_DASK_SCHEDULER, needed where `training.engine` is dask (which gives a bundle as
            good, not the same bytes).

    Raises:
        SettingsError: `training.engine` is dask, and no cluster is set or none answers.
        NotEnoughDataError: too few rows of a class, or no completed trial.
        BundleError: the ONNX graph does not give the estimator's numbers, or the explainer not its contributions.
    """
    cluster = cluster_of(use_case.training, dask_scheduler)
    chosen = best or best_trial(use_case, snapshot, storage_url)
    rows = read_snapshot(use_case, snapshot)
    threads = _THREADS_OF_STORED_ROWS if is_stored(rows) else _THREADS
    pipeline = _recipe(use_case, chosen, FitContext(use_case.training.seed, threads, cluster))
    with limited_threads(_THREADS):
        trial = _judge(use_case, pipeline, rows)
        training = _Training(use_case, snapshot, rows, chosen, pipeline, trial, pipeline.fit(rows))
        return _seal(training, champion, folder)


def _recipe(use_case: UseCase, best: BestTrial, context: FitContext) -> Pipeline:
    return Pipeline(best.candidate, best.params, use_case.features, context, target_of(use_case), best.members)


def _judge(use_case: UseCase, pipeline: Pipeline, rows: TrainingSet) -> _Trial:
    final, earlier = final_split(use_case, rows), calibration_split(use_case, rows)
    first = _calibrated(pipeline, pipeline.fit(earlier.training).score(earlier.validation), earlier.validation.labels)
    threshold = _threshold(use_case, first, earlier.validation.labels)
    model = pipeline.fit(final.training)
    raw = model.score(final.validation)
    return _Trial(
        fold=final,
        model=model,
        scores=first.calibration.apply(raw),
        policy=policy_of(use_case, threshold.value if threshold else 0.5),
        calibrated_by=first.name,
        threshold=threshold,
        next=_calibrated(pipeline, raw, final.validation.labels),
    )


def _calibrated(pipeline: Pipeline, scores: Scores, labels: Labels) -> Calibrated:
    return choose_calibration(at_level(scores, labels, pipeline.target, pipeline.aims), labels, pipeline.target)


def _threshold(use_case: UseCase, calibrated: Calibrated, labels: Labels) -> Threshold | None:
    value = use_case.business.value
    return choose_threshold(value, labels, calibrated.scores) if isinstance(value, ConfusionValue) else None


def _seal(training: _Training, champion: tuple[str, Predictor], folder: Path) -> ModelBundle:
    use_case, trial, seed = training.use_case, training.trial, training.use_case.training.seed
    slice_rows, graph = trial.fold.validation, training.shipped.to_onnx()
    manifest = _manifest(training)
    parity = check_parity(training.shipped, manifest, graph, slice_rows, seed)
    predictor = OnnxPredictor(manifest, graph)
    golden = golden_requests(predictor, slice_rows, seed)
    files = {
        MODEL: graph,
        EXPLAINER: explainer_file(training.shipped, slice_rows, seed),
        GOLDEN: json.dumps([request.model_dump() for request in golden], indent=1).encode(),
        REFERENCE: reference_parquet(use_case, slice_rows, trial.scores, trial.policy),
    }
    size = sum(map(len, files.values())) + len(manifest.model_dump_json(indent=1))
    report = evaluate(use_case, _judged(training, champion, parity, size_mb=round(size / 1e6, 4), graph_bytes=len(graph)))
    files[EVALUATION] = report.model_dump_json(indent=1).encode()
    digest = write_bundle(folder, manifest.model_copy(update={"metrics": report.metrics}), files)
    timed = report.model_copy(update={"metrics": report.metrics | {LATENCY: latency(predictor, slice_rows)}})
    return ModelBundle(folder, digest, timed, _params(training))


def _judged(
    training: _Training, champion: tuple[str, Predictor], parity: float, *, size_mb: float, graph_bytes: int
) -> EvaluationInput:
    use_case, trial = training.use_case, training.trial
    why = trial.threshold.note[0].upper() + trial.threshold.note[1:] + "." if trial.threshold else ""
    return EvaluationInput(
        fold=trial.fold,
        policy=trial.policy,
        scores=trial.scores,
        model=trial.model,
        pipeline=training.pipeline,
        rivals=(("baseline", "0", baseline_predictor(use_case)), ("champion", *champion)),
        parity=parity,
        search_metric=use_case.training.metric_for(use_case.task),
        seed=use_case.training.seed,
        note=" ".join(filter(None, (NOTE, why))),
        calibrated_by=trial.calibrated_by,
        size_mb=size_mb,
        graph_bytes=graph_bytes,
    )


def _manifest(training: _Training) -> Manifest:
    use_case, policy = training.use_case, training.trial.policy
    return Manifest(
        use_case=use_case.name,
        kind="onnx",
        candidate=training.best.candidate,
        signature=learnt_signature(use_case, training.rows),
        task=policy.task,
        threshold=policy.threshold,
        classes=policy.classes,
        payoffs=policy.payoffs,
        encoder=training.shipped.encoder,
        calibration=training.trial.next.calibration,
        provenance=Provenance(
            as_of=parse_instant(training.snapshot.as_of),
            snapshot=training.snapshot.digest,
            specification=specification_digest(use_case),
            seed=use_case.training.seed,
        ),
    )


def _params(training: _Training) -> dict[str, str]:
    use_case, best, rows = training.use_case, training.best, training.rows
    binary = use_case.task is Task.BINARY_CLASSIFICATION
    return {
        "candidate": best.candidate,
        **{name: f"{value:.6g}" for name, value in best.params.items()},
        **_member_params(training.pipeline.members),
        RECIPE: record_trial(best),
        "calibrated_by": training.trial.next.name,
        "study": best.study,
        "trial": str(best.number),
        "trials": str(best.trials),
        f"search_{use_case.training.metric_for(use_case.task)}": f"{best.value:.6f}",
        "as_of": training.snapshot.as_of,
        "rows": str(len(rows)),
        **({"positives": str(int(rows.labels.sum()))} if binary else {}),
        **record_environment(use_case),
    }


def _member_params(members: tuple[BlendMember, ...]) -> dict[str, str]:
    """The members of a blend, each with its weight and hyperparameters."""
    told: dict[str, str] = {}
    for place, member in enumerate(members, start=1):
        told[f"member_{place}"] = f"{member.candidate} of trial {member.number}, weight {member.weight:.2f}"
        told |= {f"member_{place}_{name}": f"{value:.6g}" for name, value in member.params.items()}
    return told
