"""Export of a fitted model: parity check, golden requests, signature and reference rows."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from noria.core.base.errors import BundleError
from noria.core.model.bundle import GoldenRequest, Manifest
from noria.core.model.calibration import Calibration
from noria.core.model.decision import DecisionPolicy, Labels, Scores
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import Features
from noria.inference.predictor import PARITY, OnnxPredictor
from noria.training.data.columns import Categories
from noria.training.data.dataset import TrainingSet
from noria.training.data.sampling import even_positions
from noria.training.fit.pipeline import FittedPipeline

MOST_CATEGORIES = 200
MOST_REFERENCE_ROWS = 20_000
GOLDEN_ROWS = 20
PARITY_CHUNK = 50_000
"""Rows per step of the parity check, which covers every row: encoded rows of a large slice would fill the memory."""
LATENCY_CALLS = 200
_TINY = 1e-300
_UNSEEN = "(a value that training never saw)"


def check_parity(
    model: FittedPipeline, manifest: Manifest, graph: bytes, rows: TrainingSet, seed: int, *, chunk: int = PARITY_CHUNK
) -> float:
    """Largest difference between estimator and ONNX graph over all rows, whole and with missing and unseen values.

    The difference is one of probabilities, or relative for numbers. A number close to zero is compared relative to the
    standard deviation of the scores.

    Args:
        model: the fitted model.
        manifest: encoder and task of the graph.
        graph: the ONNX graph.
        rows: every one of them is scored by both.
        seed: draws the missing and unseen values.
        chunk: rows that are encoded at a time.

    Raises:
        BundleError: it is more than 1e-5; the graph must not be served.
    """
    exported = OnnxPredictor(manifest.model_copy(update={"calibration": Calibration()}), graph)
    whole = _largest_difference(model, exported, _chunks(rows, None, chunk))
    gaps = _largest_difference(model, exported, _chunks(rows, seed, chunk))
    worst = float(np.max([whole, gaps]))
    if not worst <= PARITY:
        raise BundleError(
            f"{manifest.use_case}: the ONNX graph of {manifest.candidate} differs by {worst:.2g} from the estimator it was "
            f"made of (allowed: {PARITY:g}); nothing is registered. Check the versions of onnx and xgboost against uv.lock"
        )
    return worst


def _chunks(rows: TrainingSet, seed: int | None, chunk: int) -> Iterator[TrainingSet]:
    """The rows in chunks, with gaps if there is a seed."""
    for number, start in enumerate(range(0, len(rows), chunk)):
        part = rows.take(np.arange(start, min(start + chunk, len(rows))))
        yield part if seed is None else with_gaps(part, seed + number)


def _largest_difference(model: FittedPipeline, exported: OnnxPredictor, chunks: Iterator[TrainingSet]) -> float:
    """Largest difference over the rows; NaN if one of the two gives no number."""
    expected, apart = [], []
    for part in chunks:
        expected.append(model.score(part))
        apart.append(np.abs(expected[-1] - exported.score_columns(part.columns)))
    if not exported.manifest.task.is_regression:
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
            texts = rows.categories(name)
            codes = np.where(unseen & (texts.codes >= 0), len(texts.names), texts.codes)
            columns[name] = Categories((*texts.names, _UNSEEN), np.where(missing, -1, codes).astype(np.int32))
    return replace(rows, columns=columns)


def latency(predictor: OnnxPredictor, rows: TrainingSet, calls: int = LATENCY_CALLS) -> float:
    """Median milliseconds to score one row given as a mapping, as an app sends it; differs from run to run."""
    chosen = rows.take(even_positions(len(rows), calls))
    instances = [[chosen.row(index)] for index in range(len(chosen))]
    predictor.score_rows(instances[0])  # the first call sets things up
    seconds = []
    for number in range(max(calls, len(instances))):
        started = time.perf_counter()
        predictor.score_rows(instances[number % len(instances)])
        seconds.append(time.perf_counter() - started)
    return round(1000 * statistics.median(seconds), 4)


def golden_requests(predictor: OnnxPredictor, rows: TrainingSet, seed: int) -> tuple[GoldenRequest, ...]:
    """Requests over the whole slice with their scores: half with missing and unseen values, one with no value at all."""
    chosen = rows.take(even_positions(len(rows), GOLDEN_ROWS // 2))
    parts = (chosen, with_gaps(chosen, seed))
    instances: list[dict[str, Any]] = [part.row(index) for part in parts for index in range(len(part))]
    instances.append(dict.fromkeys(rows.columns))
    scores = predictor.score_rows(instances)
    return tuple(GoldenRequest(instance=i, score=_plain(s)) for i, s in zip(instances, scores, strict=True))


def learnt_signature(features: Features, rows: TrainingSet) -> Signature:
    """Fields that the model reads: ranges, categories (at most 200 of a feature) and a typical value as example."""
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


def reference_parquet(features: Features, rows: TrainingSet, scores: Scores, policy: DecisionPolicy) -> bytes:
    """The evaluated rows (an even sample of at most 20,000) as the reference set of monitoring.

    Columns: the features, `event_time`, `score` (probability of yes, probability of the chosen class, or the number),
    `decision` as text, for multiclass one `probability_<class>` each, and `label` (boolean, class, or number).

    Args:
        features: names and kinds of the columns.
        rows: the evaluated rows.
        scores: their scores; shape ``(rows,)`` or ``(rows, classes)``.
        policy: turns scores into decisions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = even_positions(len(rows), MOST_REFERENCE_ROWS)
    sample, sample_scores = rows.take(chosen), scores[chosen]
    columns: dict[str, Any] = {}
    for name in sample.columns:
        numeric = name in features.numeric
        values = sample.columns[name] if numeric else sample.categories(name).tolist()
        columns[name] = pa.array(values, type=pa.float64() if numeric else pa.string(), from_pandas=numeric)
    decisions = policy.decide(sample_scores)
    columns["event_time"] = pa.array(sample.times, type=pa.timestamp("us", tz="UTC"))
    columns["score"] = pa.array(policy.chosen_scores(sample_scores, decisions), type=pa.float64())
    columns["decision"] = pa.array([_text(word) for word in policy.words(decisions)], type=pa.string())
    for index, name in enumerate(policy.classes):
        columns[f"probability_{name}"] = pa.array(sample_scores[:, index], type=pa.float64())
    columns["label"] = _label_column(sample.labels, policy)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _label_column(labels: Labels, policy: DecisionPolicy) -> Any:
    import pyarrow as pa

    if policy.task.is_multiclass:
        return pa.array([policy.classes[index] for index in labels.tolist()], type=pa.string())
    return pa.array(labels, type=pa.float64() if policy.task.is_regression else pa.bool_())


def _text(word: bool | str | float) -> str:
    return word if isinstance(word, str) else str(word).lower()


def _plain(score: Any) -> float | tuple[float, ...]:
    """One score as JSON keeps it."""
    return tuple(float(number) for number in score) if np.ndim(score) else float(score)


def _numeric_field(field: Field, values: Any) -> Field:
    present = values[~np.isnan(values)]
    if not len(present):
        return field
    facts = {"minimum": float(present.min()), "maximum": float(present.max()), "example": _typical(present)}
    return field.model_copy(update=facts)


def _typical(present: Any) -> float:
    """A middle value that occurs (the mean of two could be an impossible hour of the day)."""
    return float(np.sort(present)[len(present) // 2])


def _categorical_field(field: Field, values: Categories) -> Field:
    counts = values.counts()[:-1]
    ranked = sorted((-count, name) for name, count in zip(values.names, counts.tolist(), strict=True) if count)
    names = tuple(name for _, name in ranked)
    return field.model_copy(update={"categories": names[:MOST_CATEGORIES], "example": names[0] if names else None})
