"""Turns a fitted model into what serving runs, and proves that both give the same numbers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from noria.core.bundle import GoldenRequest, Manifest
from noria.core.calibration import Calibration
from noria.core.errors import BundleError
from noria.core.signature import Field, Kind, Signature
from noria.core.use_case import UseCase
from noria.inference.predictor import PARITY, OnnxPredictor
from noria.training.candidate import Probabilities
from noria.training.dataset import TrainingSet
from noria.training.recipe import FittedModel

MOST_CATEGORIES = 200
MOST_REFERENCE_ROWS = 20_000
GOLDEN_ROWS = 20
_UNSEEN = "(a value that training never saw)"


def check_parity(model: FittedModel, manifest: Manifest, graph: bytes, rows: TrainingSet, seed: int) -> float:
    """Largest difference between estimator and ONNX graph over the rows, whole and with missing and unseen values.

    Raises:
        BundleError: it is more than 1e-5; the graph must not be served.
    """
    exported = OnnxPredictor(manifest.model_copy(update={"calibration": Calibration()}), graph)
    worst = 0.0
    for part in (rows, with_gaps(rows, seed)):
        difference = np.abs(model.score(part) - exported.score_columns(part.columns))
        worst = max(worst, float(np.max(difference)))
    if not worst <= PARITY:
        raise BundleError(
            f"{manifest.use_case}: the ONNX graph of {manifest.candidate} differs by {worst:.2g} from the estimator it was "
            f"made of (allowed: {PARITY:g}); nothing is registered. Check the ONNX converters' versions against uv.lock"
        )
    return worst


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
            columns[name] = [
                None if gap else _UNSEEN if new else value for value, gap, new in zip(values, missing, unseen, strict=True)
            ]
    return TrainingSet(columns, rows.labels, rows.times)


def golden_requests(predictor: OnnxPredictor, rows: TrainingSet, seed: int) -> tuple[GoldenRequest, ...]:
    """Requests over the whole slice, half of them with missing and unseen values, one with nothing at all."""
    chosen = rows.take(_evenly(len(rows), GOLDEN_ROWS // 2))
    parts = (chosen, with_gaps(chosen, seed))
    instances: list[dict[str, Any]] = [part.row(index) for part in parts for index in range(len(part))]
    instances.append(dict.fromkeys(rows.columns))
    scores = predictor.score_rows(instances)
    return tuple(GoldenRequest(instance=i, score=float(s)) for i, s in zip(instances, scores, strict=True))


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
            Field(name=n, kind=Kind.CATEGORICAL, description=f.description, required=f.required), rows.columns[n]
        )
        for n, f in features.categorical.items()
    )
    return Signature(fields=(*numeric, *categorical))


def reference_parquet(use_case: UseCase, rows: TrainingSet, scores: Probabilities) -> bytes:
    """The evaluation slice (an even sample of at most 20,000 rows): features, event_time, score and label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = _evenly(len(rows), MOST_REFERENCE_ROWS)
    sample = rows.take(chosen)
    columns: dict[str, Any] = {}
    for name, values in sample.columns.items():
        numeric = name in use_case.features.numeric
        columns[name] = pa.array(values, type=pa.float64() if numeric else pa.string(), from_pandas=numeric)
    columns["event_time"] = pa.array(sample.times, type=pa.timestamp("us", tz="UTC"))
    columns["score"] = pa.array(scores[chosen], type=pa.float64())
    columns["label"] = pa.array(sample.labels, type=pa.bool_())
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _numeric_field(field: Field, values: Any) -> Field:
    known = values[~np.isnan(values)]
    if not len(known):
        return field
    found = {"minimum": float(known.min()), "maximum": float(known.max()), "example": _typical(known)}
    return field.model_copy(update=found)


def _typical(known: Any) -> float:
    """A middle value that really occurs (a mean of two would be no hour of the day)."""
    return float(np.sort(known)[len(known) // 2])


def _categorical_field(field: Field, values: Any) -> Field:
    names, counts = np.unique(np.array([value for value in values if value is not None], dtype=np.str_), return_counts=True)
    ranked = tuple(str(names[index]) for index in np.lexsort((names, -counts)))
    return field.model_copy(update={"categories": ranked[:MOST_CATEGORIES], "example": ranked[0] if ranked else None})


def _evenly(rows: int, most: int) -> Any:
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.intp))
