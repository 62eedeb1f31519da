"""From the best trial to a bundle: fit, calibrate, judge on the last slice of time, refit on everything, seal.

The recipe is fitted three times, each time one slice of time later:

    1. on what lies before the calibration slice; its scores on that slice calibrate model 2
    2. on what lies before the evaluation slice; judged there, once; its scores there calibrate model 3
    3. on all rows: this one is shipped

So every figure in the report was measured on rows that the measured model had not seen, and what serves has learnt from the
newest labels. docs/adr/0008-judge-then-refit.md says why and what it costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noria.core.bundle import EVALUATION, GOLDEN, MODEL, REFERENCE, Manifest, Provenance, specification_digest, write_bundle
from noria.core.calibration import Calibration
from noria.core.evaluation import EvaluationReport
from noria.core.interval import parse_instant
from noria.core.results import SnapshotRef
from noria.core.use_case import UseCase
from noria.core.value import best_threshold
from noria.inference.predictor import OnnxPredictor, Predictor, baseline_predictor
from noria.training.calibrate import at_level, calibrate
from noria.training.candidate import Effort, Labels, Probabilities
from noria.training.candidates import CANDIDATES
from noria.training.dataset import Fold, TrainingSet, last_slice, read_snapshot
from noria.training.evaluate import evaluate
from noria.training.export import check_parity, golden_requests, learnt_signature, reference_parquet
from noria.training.recipe import FittedModel, Recipe
from noria.training.search import BestTrial, best_trial
from noria.training.threads import limited_threads

NOTE = (
    "Measured on the recipe fitted to everything before this slice; the shipped model is the same recipe (same "
    "hyperparameters and number of rounds) fitted to this slice as well, and calibrated on the scores measured here."
)
_THREADS = 1  # sums of floats depend on how many threads share them: one thread gives the same bytes everywhere


@dataclass(frozen=True)
class FittedBundle:
    """A bundle on disk and what was found out about it."""

    folder: Path
    digest: str
    report: EvaluationReport
    params: Mapping[str, str]


@dataclass(frozen=True)
class _Judged:
    """The evaluation slice and the calibrated scores that were judged on it, with what they taught the shipped model."""

    fold: Fold
    scores: Probabilities
    calibration: Calibration


@dataclass(frozen=True)
class _Training:
    """Everything that goes into a bundle."""

    use_case: UseCase
    snapshot: SnapshotRef
    rows: TrainingSet
    best: BestTrial
    judged: _Judged
    shipped: FittedModel


def fit_bundle(
    use_case: UseCase, snapshot: SnapshotRef, *, champion: tuple[str, Predictor], storage_url: str, folder: Path
) -> FittedBundle:
    """Fit the best trial of a snapshot's study, judge it, and write the bundle. Same snapshot and trial, same bytes.

    Args:
        use_case: what the business wants.
        snapshot: the training set.
        champion: version and predictor of the model that serves, judged on the same rows.
        storage_url: PostgreSQL that holds the study.
        folder: where the bundle is written.

    Raises:
        NotEnoughDataError: too few rows of a class, or no completed trial.
        BundleError: the ONNX graph does not give the estimator's numbers.
    """
    best = best_trial(use_case, snapshot, storage_url)
    rows = read_snapshot(use_case, snapshot)
    recipe = Recipe(CANDIDATES[best.candidate], best.params, use_case.features, Effort(use_case.training.seed, _THREADS))
    with limited_threads(_THREADS):
        training = _Training(use_case, snapshot, rows, best, _judge(use_case, recipe, rows), recipe.fit(rows))
        return _seal(training, champion, folder)


def _judge(use_case: UseCase, recipe: Recipe, rows: TrainingSet) -> _Judged:
    window, gap = use_case.training.test_window, use_case.label.available_after
    final = last_slice(rows, window, gap)
    earlier = last_slice(final.training, window, gap)
    calibration = _calibration_for_next(recipe.fit(earlier.training).score(earlier.validation), earlier.validation.labels)
    raw = recipe.fit(final.training).score(final.validation)
    return _Judged(final, calibration.apply(raw), _calibration_for_next(raw, final.validation.labels))


def _calibration_for_next(scores: Probabilities, labels: Labels) -> Calibration:
    return calibrate(at_level(scores, float(labels.mean())), labels)


def _seal(training: _Training, champion: tuple[str, Predictor], folder: Path) -> FittedBundle:
    use_case, judged = training.use_case, training.judged
    slice_rows, seed = judged.fold.validation, use_case.training.seed
    manifest = _manifest(training)
    graph = training.shipped.to_onnx()
    report = evaluate(
        use_case,
        judged.fold,
        judged.scores,
        threshold=manifest.threshold,
        rivals=(("baseline", "0", baseline_predictor(use_case)), ("champion", *champion)),
        parity=check_parity(training.shipped, manifest, graph, slice_rows, seed),
        note=NOTE,
    )
    golden = golden_requests(OnnxPredictor(manifest, graph), slice_rows, seed)
    files = {
        MODEL: graph,
        GOLDEN: json.dumps([request.model_dump() for request in golden], indent=1).encode(),
        REFERENCE: reference_parquet(use_case, slice_rows, judged.scores),
        EVALUATION: report.model_dump_json(indent=1).encode(),
    }
    digest = write_bundle(folder, manifest.model_copy(update={"metrics": report.metrics}), files)
    return FittedBundle(folder, digest, report, _params(training))


def _manifest(training: _Training) -> Manifest:
    use_case = training.use_case
    return Manifest(
        use_case=use_case.name,
        kind="onnx",
        candidate=training.best.candidate,
        signature=learnt_signature(use_case, training.rows),
        threshold=best_threshold(use_case.business.value),
        encoder=training.shipped.encoder,
        calibration=training.judged.calibration,
        provenance=Provenance(
            as_of=parse_instant(training.snapshot.as_of),
            snapshot=training.snapshot.digest,
            specification=specification_digest(use_case),
            seed=use_case.training.seed,
        ),
    )


def _params(training: _Training) -> dict[str, str]:
    use_case, best, rows = training.use_case, training.best, training.rows
    return {
        "candidate": best.candidate,
        **{name: f"{value:.6g}" for name, value in best.params.items()},
        "study": best.study,
        "trial": str(best.number),
        "trials": str(best.trials),
        f"search_{use_case.training.metric}": f"{best.value:.6f}",
        "seed": str(use_case.training.seed),
        "as_of": training.snapshot.as_of,
        "rows": str(len(rows)),
        "positives": str(int(rows.labels.sum())),
    }
