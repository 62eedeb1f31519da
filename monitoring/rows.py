"""Rows that a model has scored: those of an interval, and the reference set that its version was evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from noria.core.bundle import EVALUATION, REFERENCE, Manifest
from noria.core.errors import BundleError, TransformError
from noria.core.evaluation import EvaluationReport
from noria.core.interval import Interval
from noria.core.use_case import UseCase
from noria.data.features import read_features
from noria.data.predictions import read_batch_predictions
from noria.data.warehouse import Warehouse

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoredRows:
    """Features, scores and labels, row by row.

    Attributes:
        columns: features by name; numbers as float64 arrays (NaN where missing), texts as lists (None where missing).
        scores: probability of the positive class.
        decisions: what the score led to.
        labels: what happened; meaningless where `known` is false.
        known: whether the label has arrived.
    """

    columns: Mapping[str, Sequence[Any]]
    scores: Scores
    decisions: Flags
    labels: Flags
    known: Flags

    def __len__(self) -> int:
        return len(self.scores)


def read_scored_interval(warehouse: Warehouse, use_case: UseCase, interval: Interval) -> tuple[str, ScoredRows]:
    """The version that scored an interval, and its rows with the labels that have arrived when the last of them is due.

    Raises:
        TransformError: the interval was not scored, or its features were rebuilt since.
    """
    as_of = interval.end + use_case.label.available_after
    predictions = read_batch_predictions(warehouse, use_case, interval, as_of)
    if not len(predictions):
        raise TransformError(f"{use_case.name} has no batch predictions for {interval}: run its score step first")
    features = read_features(warehouse, use_case, interval)
    if features[use_case.entity].to_pylist() != predictions[use_case.entity].to_pylist():
        raise TransformError(
            f"the features of {use_case.name} for {interval} were rebuilt since they were scored ({len(features):,} rows "
            f"now, {len(predictions):,} then): run its score step again"
        )
    return str(predictions["version"][0].as_py()), _scored(features, predictions, use_case.features.names)


def _scored(features: pa.Table, predictions: pa.Table, names: Sequence[str]) -> ScoredRows:
    label = predictions["label"]
    return ScoredRows(
        columns={name: _column(features[name]) for name in names},
        scores=_numbers(predictions["score"]),
        decisions=np.asarray(predictions["decision"].to_pylist(), dtype=np.bool_),
        labels=np.asarray(label.fill_null(False).to_pylist(), dtype=np.bool_),
        known=np.asarray(label.is_valid().to_pylist(), dtype=np.bool_),
    )


@dataclass(frozen=True)
class Reference:
    """What a version was evaluated on, and what came of it."""

    rows: ScoredRows
    report: EvaluationReport


def read_reference(folder: Path, manifest: Manifest) -> Reference | None:
    """The reference set of a bundle; None for a rule, which has none.

    Raises:
        BundleError: a trained bundle lacks it.
    """
    if manifest.kind == "rule":
        return None
    missing = [name for name in (REFERENCE, EVALUATION) if name not in manifest.files]
    if missing:
        raise BundleError(f"{folder}: has no {' and no '.join(missing)}, so nothing can be compared with it; train again")
    table = pq.read_table(folder / REFERENCE)
    scores = _numbers(table["score"])
    rows = ScoredRows(
        columns={name: _column(table[name]) for name in manifest.signature.names},
        scores=scores,
        decisions=scores >= manifest.threshold,
        labels=np.asarray(table["label"].to_pylist(), dtype=np.bool_),
        known=np.ones(len(table), dtype=np.bool_),
    )
    return Reference(rows, EvaluationReport.model_validate_json((folder / EVALUATION).read_bytes()))


def _column(values: pa.ChunkedArray) -> Any:
    """Texts as a list, anything else as float64; both are read like sequences."""
    texts = pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_dictionary(values.type)
    return values.to_pylist() if texts else _numbers(values)


def _numbers(values: pa.ChunkedArray) -> Scores:
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
