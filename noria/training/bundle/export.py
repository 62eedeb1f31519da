"""Turns a fitted model into what serving runs, and proves that both give the same numbers."""

from __future__ import annotations

import io
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np

from noria.core.base.errors import BundleError
from noria.core.model.bundle import GoldenRequest, Manifest
from noria.core.model.calibration import Calibration
from noria.core.model.decision import DecisionPolicy, Labels, Scores
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import Task, UseCase
from noria.inference.predictor import PARITY, OnnxPredictor
from noria.training.data.columns import Categories
from noria.training.data.dataset import TrainingSet
from noria.training.fit.pipeline import FittedPipeline

MOST_CATEGORIES = 200
MOST_REFERENCE_ROWS = 20_000
GOLDEN_ROWS = 20
PARITY_CHUNK = 50_000
"""Parity is proved on every row of a slice, so many at a time: encoded rows of a large slice would fill the memory."""
LATENCY_CALLS = 200
_TINY = 1e-300
_UNSEEN = "(a value that training never saw)"


def check_parity(model: FittedPipeline, manifest: Manifest, graph: bytes, rows: TrainingSet, seed: int) -> float:
    """Largest difference between estimator and ONNX graph over all rows, whole and with missing and unseen values.

    A difference of probabilities, or of numbers over their size (at least over the spread of the scores, so that a number
    close to zero is not held to more digits than the others).

    Raises:
        BundleError: it is more than 1e-5; the graph must not be served.
    """
    exported = OnnxPredictor(manifest.model_copy(update={"calibration": Calibration()}), graph)
    worst = float(np.max([_largest_difference(model, exported, rows, gaps) for gaps in (None, seed)]))
    if not worst <= PARITY:
        raise BundleError(
            f"{manifest.use_case}: the ONNX graph of {manifest.candidate} differs by {worst:.2g} from the estimator it was "
            f"made of (allowed: {PARITY:g}); nothing is registered. Check the versions of onnx and xgboost against uv.lock"
        )
    return worst


def _largest_difference(model: FittedPipeline, exported: OnnxPredictor, rows: TrainingSet, seed: int | None) -> float:
    """Over the rows, or with a seed over the rows with gaps; NaN where one of the two gives no number."""
    expected, apart = [], []
    for number, start in enumerate(range(0, len(rows), PARITY_CHUNK)):
        part = rows.take(np.arange(start, min(start + PARITY_CHUNK, len(rows))))
        part = part if seed is None else with_gaps(part, seed + number)
        expected.append(model.score(part))
        apart.append(np.abs(expected[-1] - exported.score_columns(part.columns)))
    if exported.manifest.task is not Task.REGRESSION:
        return float(np.max([np.max(one) for one in apart]))
    numbers = np.concatenate(expected)
    return float(np.max(np.concatenate(apart) / np.maximum(np.abs(numbers), np.std(numbers) + _TINY)))


def with_gaps(rows: TrainingSet, seed: int) -> TrainingSet:
    """The rows with a tenth of the values missing, and a tenth of the categories unseen."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for name, values in rows.columns.items():
        missing = random.random(len(rows)) < 0.1
        if isinstance(values, np.ndarray):
            columns[name] = np.where(missing, np.nan, values)
        else:
            unseen = random.random(len(rows)) < 0.1
            known = rows.categories(name)
            codes = np.where(unseen & (known.codes >= 0), len(known.names), known.codes)
            columns[name] = Categories((*known.names, _UNSEEN), np.where(missing, -1, codes).astype(np.int32))
    return replace(rows, columns=columns)


def latency(predictor: OnnxPredictor, rows: TrainingSet, calls: int = LATENCY_CALLS) -> float:
    """Median milliseconds of scoring one row given as a mapping, as an app would ask; differs from run to run."""
    chosen = rows.take(_evenly(len(rows), calls))
    instances = [[chosen.row(index)] for index in range(len(chosen))]
    predictor.score_rows(instances[0])  # the first call sets things up
    seconds = []
    for number in range(max(calls, len(instances))):
        started = time.perf_counter()
        predictor.score_rows(instances[number % len(instances)])
        seconds.append(time.perf_counter() - started)
    return round(1000 * statistics.median(seconds), 4)


def golden_requests(predictor: OnnxPredictor, rows: TrainingSet, seed: int) -> tuple[GoldenRequest, ...]:
    """Requests over the whole slice, half of them with missing and unseen values, one with nothing at all."""
    chosen = rows.take(_evenly(len(rows), GOLDEN_ROWS // 2))
    parts = (chosen, with_gaps(chosen, seed))
    instances: list[dict[str, Any]] = [part.row(index) for part in parts for index in range(len(part))]
    instances.append(dict.fromkeys(rows.columns))
    scores = predictor.score_rows(instances)
    return tuple(GoldenRequest(instance=i, score=_plain(s)) for i, s in zip(instances, scores, strict=True))


def learnt_signature(use_case: UseCase, rows: TrainingSet) -> Signature:
    """What the model expects of a row: ranges, categories (at most 200 of a feature) and a typical row as example."""
    features = use_case.features
    numeric = (
        _numeric_field(
            Field(name=n, kind=Kind.NUMERIC, description=f.description, unit=f.unit, required=f.required), rows.columns[n]
        )
        for n, f in features.numeric.items()
    )
    categorical = (
        _categorical_field(
            Field(name=n, kind=Kind.CATEGORICAL, description=f.description, required=f.required), rows.categories(n)
        )
        for n, f in features.categorical.items()
    )
    return Signature(fields=(*numeric, *categorical))


def reference_parquet(use_case: UseCase, rows: TrainingSet, scores: Scores, policy: DecisionPolicy) -> bytes:
    """The evaluation slice (an even sample of at most 20,000 rows) as monitoring compares with it.

    Features, `event_time`, `score` (the probability of yes, or of the class decided on, or the number), `decision` as text,
    for multiclass one `probability_<class>` each, and `label` (true or false, the class, or the number).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = _evenly(len(rows), MOST_REFERENCE_ROWS)
    sample, judged = rows.take(chosen), scores[chosen]
    columns: dict[str, Any] = {}
    for name in sample.columns:
        numeric = name in use_case.features.numeric
        values = sample.columns[name] if numeric else sample.categories(name).tolist()
        columns[name] = pa.array(values, type=pa.float64() if numeric else pa.string(), from_pandas=numeric)
    decisions = policy.decide(judged)
    columns["event_time"] = pa.array(sample.times, type=pa.timestamp("us", tz="UTC"))
    columns["score"] = pa.array(policy.chosen_scores(judged, decisions), type=pa.float64())
    columns["decision"] = pa.array([_text(word) for word in policy.words(decisions)], type=pa.string())
    for index, name in enumerate(policy.classes):
        columns[f"probability_{name}"] = pa.array(judged[:, index], type=pa.float64())
    columns["label"] = _label_column(sample.labels, policy)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _label_column(labels: Labels, policy: DecisionPolicy) -> Any:
    import pyarrow as pa

    if policy.task is Task.MULTICLASS:
        return pa.array([policy.classes[index] for index in labels.tolist()], type=pa.string())
    return pa.array(labels, type=pa.float64() if policy.task is Task.REGRESSION else pa.bool_())


def _text(word: bool | str | float) -> str:
    return word if isinstance(word, str) else str(word).lower()


def _plain(score: Any) -> float | tuple[float, ...]:
    """One score as JSON keeps it."""
    return tuple(float(number) for number in score) if np.ndim(score) else float(score)


def _numeric_field(field: Field, values: Any) -> Field:
    known = values[~np.isnan(values)]
    if not len(known):
        return field
    found = {"minimum": float(known.min()), "maximum": float(known.max()), "example": _typical(known)}
    return field.model_copy(update=found)


def _typical(known: Any) -> float:
    """A middle value that really occurs (a mean of two would be no hour of the day)."""
    return float(np.sort(known)[len(known) // 2])


def _categorical_field(field: Field, values: Categories) -> Field:
    counts = values.counts()[:-1]
    ranked = sorted((-count, name) for name, count in zip(values.names, counts.tolist(), strict=True) if count)
    names = tuple(name for _, name in ranked)
    return field.model_copy(update={"categories": names[:MOST_CATEGORIES], "example": names[0] if names else None})


def _evenly(rows: int, most: int) -> Any:
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.intp))
