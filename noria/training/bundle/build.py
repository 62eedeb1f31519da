"""From the best trial to a bundle: fit, calibrate, evaluate on rows that nothing else has used, refit on everything, seal.

The pipeline is fitted three times, each time to more rows (in time: one slice later):

    1. to the rows before the calibration slice; its scores there calibrate model 2, and choose the threshold
    2. to the rows before the evaluation slice; evaluated there, once; its scores there calibrate model 3
    3. to all rows: this one is shipped

So every figure in the report was measured on rows that the evaluated model had not seen, and the model that serves has
learnt from the newest labels. docs/adr/0008-judge-then-refit.md gives the reasons and the cost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noria.core.base.interval import parse_instant
from noria.core.base.results import SnapshotRef
from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.metrics.task_profile import search_metric
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
from noria.core.model.decision import Labels, Scores, policy_of
from noria.core.use_case import ConfusionValue, UseCase, Value
from noria.inference.predictor import OnnxPredictor, Predictor, baseline_predictor
from noria.io.bundle_files import write_bundle
from noria.training.bundle.environment import record_environment
from noria.training.bundle.explain import explainer_file
from noria.training.bundle.export import check_parity, golden_requests, latency, learnt_signature, reference_parquet
from noria.training.data.dataset import TrainingSet, read_snapshot, snapshot_schema
from noria.training.data.parquet_columns import MOST_IN_MEMORY
from noria.training.data.splits import calibration_split, final_split, split_plan
from noria.training.data.target import target_of
from noria.training.evaluation.input import EvaluationInput, ExportFacts
from noria.training.evaluation.report import evaluate
from noria.training.fit.calibrate import Calibrated, at_level, choose_calibration
from noria.training.fit.pipeline import FittedPipeline, Pipeline
from noria.training.fit.threshold import Threshold, choose_threshold
from noria.training.models.base.estimator import FitContext
from noria.training.models.base.threads import limited_threads
from noria.training.models.blend import BlendMember
from noria.training.models.trees.external_memory import is_stored
from noria.training.search.best_trial import RECIPE, BestTrial, record_trial

NOTE = (
    "Measured on the recipe fitted to everything before this slice; the shipped model is the same recipe (same "
    "hyperparameters and rule for the number of rounds) fitted to this slice as well, and calibrated on the scores measured "
    "here."
)
LATENCY = "latency_ms"
"""Differs from run to run, so it is in the returned report and not in the bundle."""
_THREADS, _THREADS_OF_STORED_ROWS = 1, 4
"""Sums of floats may depend on the number of threads, so it is fixed: the same bytes on every machine, also on one with
fewer cores. Small fits are fastest on one thread."""


@dataclass(frozen=True)
class ModelBundle:
    """A bundle on disk and its evaluation.

    Attributes:
        folder: of the files.
        digest: of the bundle.
        report: the report in the bundle, with `latency_ms`, which differs from run to run, among the metrics.
        params: parameters of the run in the registry.
    """

    folder: Path
    digest: str
    report: EvaluationReport
    params: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Fits:
    """The content of a bundle: what was fitted, and to which rows.

    Attributes:
        use_case: specification of the model.
        snapshot: the training set.
        rows: of the training set.
        best: the trial that is fitted.
        evaluated: the evaluated model and its rows.
        calibrated: calibration of the shipped model.
        shipped: the model that is exported.
    """

    use_case: UseCase
    snapshot: SnapshotRef
    rows: TrainingSet
    best: BestTrial
    evaluated: EvaluationInput
    calibrated: Calibrated
    shipped: FittedPipeline


def fit_bundle(
    use_case: UseCase,
    snapshot: SnapshotRef,
    best: BestTrial,
    *,
    champion: tuple[str, Predictor],
    folder: Path,
    cluster: str = "",
    most_in_memory: int = MOST_IN_MEMORY,
) -> ModelBundle:
    """Fit a trial, evaluate it, and write the bundle. The same snapshot and trial give the same bytes.

    Args:
        use_case: specification of the model.
        snapshot: the training set.
        best: kind of model and hyperparameters.
        champion: version and predictor of the model that serves, compared on the same rows.
        folder: where the bundle is written.
        cluster: address of a Dask scheduler; empty to fit on this machine. A cluster gives an equally good bundle, not the
            same bytes.
        most_in_memory: features of more rows than this stay on disk.

    Raises:
        SettingsError: the cluster does not answer.
        NotEnoughDataError: the training set lacks rows or a column.
        BundleError: the ONNX graph or the explainer differs from the fitted model.
    """
    rows = read_snapshot(snapshot_schema(use_case), snapshot, most_in_memory=most_in_memory)
    threads = _THREADS_OF_STORED_ROWS if is_stored(rows) else _THREADS
    context = FitContext(use_case.training.seed, threads, cluster)
    pipeline = Pipeline(
        best.candidate, best.params, use_case.features, context, target_of(use_case), best.members, most_in_memory
    )
    with limited_threads(_THREADS):
        evaluated, calibrated = _fit_evaluated(use_case, pipeline, rows, champion)
        return _seal(_Fits(use_case, snapshot, rows, best, evaluated, calibrated, pipeline.fit(rows)), folder)


def _fit_evaluated(
    use_case: UseCase, pipeline: Pipeline, rows: TrainingSet, champion: tuple[str, Predictor]
) -> tuple[EvaluationInput, Calibrated]:
    """The model that is evaluated, and the calibration that its scores give the shipped model."""
    plan = split_plan(use_case)
    final, earlier = final_split(plan, rows), calibration_split(plan, rows)
    first = _calibrated(pipeline, pipeline.fit(earlier.training).score(earlier.validation), earlier.validation.labels)
    threshold = _threshold(use_case.business.value, first, earlier.validation.labels)
    model = pipeline.fit(final.training)
    raw = model.score(final.validation)
    evaluated = EvaluationInput(
        fold=final,
        pipeline=pipeline,
        model=model,
        policy=policy_of(use_case, threshold.value if threshold else 0.5),
        scores=first.calibration.apply(raw),
        references=(("baseline", "0", baseline_predictor(use_case)), ("champion", *champion)),
        calibrated_by=first.name,
        note=f"{NOTE} {threshold.note[0].upper()}{threshold.note[1:]}." if threshold else NOTE,
    )
    return evaluated, _calibrated(pipeline, raw, final.validation.labels)


def _calibrated(pipeline: Pipeline, scores: Scores, labels: Labels) -> Calibrated:
    return choose_calibration(at_level(scores, labels, pipeline.target, pipeline.aims), labels, pipeline.target)


def _threshold(value: Value, calibrated: Calibrated, labels: Labels) -> Threshold | None:
    return choose_threshold(value, labels, calibrated.scores) if isinstance(value, ConfusionValue) else None


def _seal(fits: _Fits, folder: Path) -> ModelBundle:
    rows, manifest, graph = fits.evaluated.fold.validation, _manifest(fits), fits.shipped.to_onnx()
    parity = check_parity(fits.shipped, manifest, graph, rows, fits.use_case.training.seed)
    predictor = OnnxPredictor(manifest, graph)
    files = {MODEL: graph, **_other_files(fits, predictor)}
    size = sum(map(len, files.values())) + len(manifest.model_dump_json(indent=1))
    export = ExportFacts(parity, size_mb=round(size / 1e6, 4), graph_bytes=len(graph))
    report = evaluate(fits.use_case, fits.evaluated, export)
    files[EVALUATION] = report.model_dump_json(indent=1).encode()
    digest = write_bundle(folder, manifest.model_copy(update={"metrics": report.metrics}), files)
    timed = report.model_copy(update={"metrics": report.metrics | {LATENCY: latency(predictor, rows)}})
    return ModelBundle(folder, digest, timed, _params(fits))


def _other_files(fits: _Fits, predictor: OnnxPredictor) -> dict[str, bytes]:
    """Files of the bundle beside graph and evaluation."""
    evaluated, seed = fits.evaluated, fits.use_case.training.seed
    rows = evaluated.fold.validation
    golden = golden_requests(predictor, rows, seed)
    return {
        EXPLAINER: explainer_file(fits.shipped, rows, seed),
        GOLDEN: json.dumps([request.model_dump() for request in golden], indent=1).encode(),
        REFERENCE: reference_parquet(fits.use_case.features, rows, evaluated.scores, evaluated.policy),
    }


def _manifest(fits: _Fits) -> Manifest:
    """The manifest without metrics."""
    use_case, policy = fits.use_case, fits.evaluated.policy
    return Manifest(
        use_case=use_case.name,
        kind="onnx",
        candidate=fits.best.candidate,
        signature=learnt_signature(use_case.features, fits.rows),
        task=policy.task,
        threshold=policy.threshold,
        classes=policy.classes,
        payoffs=policy.payoffs,
        encoder=fits.shipped.encoder,
        calibration=fits.calibrated.calibration,
        provenance=Provenance(
            as_of=parse_instant(fits.snapshot.as_of),
            snapshot=fits.snapshot.digest,
            specification=specification_digest(use_case),
            seed=use_case.training.seed,
        ),
    )


def _params(fits: _Fits) -> dict[str, str]:
    best, rows, training = fits.best, fits.rows, fits.use_case.training
    binary = fits.use_case.task.is_binary
    return {
        "candidate": best.candidate,
        **{name: f"{value:.6g}" for name, value in best.params.items()},
        **_member_params(best.members),
        RECIPE: record_trial(best),
        "calibrated_by": fits.calibrated.name,
        "study": best.study,
        "trial": str(best.number),
        "trials": str(best.trials),
        f"search_{search_metric(fits.use_case)}": f"{best.value:.6f}",
        "as_of": fits.snapshot.as_of,
        "rows": str(len(rows)),
        **({"positives": str(int(rows.labels.sum()))} if binary else {}),
        **record_environment(training),
    }


def _member_params(members: tuple[BlendMember, ...]) -> dict[str, str]:
    """The members of a blend, each with its weight and hyperparameters."""
    params: dict[str, str] = {}
    for index, member in enumerate(members, start=1):
        params[f"member_{index}"] = f"{member.candidate} of trial {member.number}, weight {member.weight:.2f}"
        params |= {f"member_{index}_{name}": f"{value:.6g}" for name, value in member.params.items()}
    return params
