"""Rows that a model has scored: those of an interval, and the reference set that its version was evaluated on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from noria.core.base.errors import BundleError, TransformError
from noria.core.base.interval import Interval
from noria.core.lifecycle.evaluation import EvaluationReport
from noria.core.model.bundle import EVALUATION, REFERENCE, Manifest
from noria.core.model.decision import Decisions, Labels, Scores
from noria.core.use_case import Task, UseCase
from noria.ports.feature_store import FeatureStore
from noria.ports.prediction_store import BatchPredictions

Flags = npt.NDArray[np.bool_]
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class ScoredRows:
    """Features, scores, decisions and labels, row by row, as `noria.core.model.decision` has them for the task.

    Classes are in the order of the use case's `label.classes`, in any order that the version has.

    Attributes:
        columns: features by name; numbers as float64 arrays (NaN where missing), texts as lists (None where missing).
        scores: probability of yes or the number, ``(rows,)``; probabilities, ``(rows, classes)``.
        decisions: what the score led to: bool, class index or the number.
        labels: what happened: bool, class index or float64; meaningless where `known` is false.
        known: whether the label has arrived, and there is a prediction to hold against it.
    """

    columns: Columns
    scores: Scores
    decisions: Decisions
    labels: Labels
    known: Flags

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: npt.NDArray[np.intp] | Flags) -> ScoredRows:
        """Some of the rows, without their features."""
        return replace(
            self,
            columns={},
            scores=self.scores[rows],
            decisions=self.decisions[rows],
            labels=self.labels[rows],
            known=self.known[rows],
        )


def read_scored_interval(
    features: FeatureStore, predictions: BatchPredictions, use_case: UseCase, interval: Interval
) -> tuple[str, ScoredRows]:
    """The version that scored an interval, and its rows with the labels that have arrived when the last of them is due.

    Raises:
        TransformError: the interval was not scored, or its features were rebuilt since, or a class is no class any more.
    """
    as_of = interval.end + use_case.label.available_after
    scored = predictions.read(use_case, interval, as_of)
    if not len(scored):
        raise TransformError(f"{use_case.name} has no batch predictions for {interval}: run its score step first")
    found = features.read_features(use_case, interval)
    if found[use_case.entity].to_pylist() != scored[use_case.entity].to_pylist():
        raise TransformError(
            f"the features of {use_case.name} for {interval} were rebuilt since they were scored ({len(found):,} rows "
            f"now, {len(scored):,} then): run its score step again"
        )
    columns = {name: _column(found[name]) for name in use_case.features.names}
    try:
        rows = _typed(use_case, scored, columns, _stored_scores(use_case, scored))
    except ValueError as error:
        raise TransformError(
            f"batch predictions of {use_case.name} for {interval}: {error}; run its score step again"
        ) from error
    return str(scored["version"][0].as_py()), rows


@dataclass(frozen=True)
class Reference:
    """Rows that a version was evaluated on, and the result."""

    rows: ScoredRows
    report: EvaluationReport


def read_reference(use_case: UseCase, folder: Path, manifest: Manifest) -> Reference | None:
    """The reference set of a bundle; None for a rule, which has none.

    Raises:
        BundleError: a trained bundle lacks it, or was trained for classes that are no classes any more.
    """
    if manifest.kind == "rule":
        return None
    missing = [name for name in (REFERENCE, EVALUATION) if name not in manifest.files]
    if missing:
        raise BundleError(f"{folder}: has no {' and no '.join(missing)}, so nothing can be compared with it; train again")
    table = pq.read_table(folder / REFERENCE)
    columns = {name: _column(table[name]) for name in manifest.signature.names}
    if "decision" not in table.column_names:  # bundles made while there was one task
        yes = pc.greater_equal(table["score"], manifest.threshold)
        table = table.append_column("decision", yes.cast(pa.string()))
    try:
        rows = _typed(use_case, table, columns, _reference_scores(use_case, table))
    except ValueError as error:
        raise BundleError(f"{folder / REFERENCE}: {error}; train again") from error
    return Reference(rows, EvaluationReport.model_validate_json((folder / EVALUATION).read_bytes()))


def _typed(use_case: UseCase, table: pa.Table, columns: Columns, scores: Scores) -> ScoredRows:
    """The rows with the types of the task."""
    label = table["label"]
    known: Flags = np.asarray(label.is_valid().to_pylist(), dtype=np.bool_)
    decisions: Decisions
    labels: Labels
    match use_case.task:
        case Task.BINARY_CLASSIFICATION:
            decisions = np.asarray(pc.equal(table["decision"], "true").to_pylist(), dtype=np.bool_)
            labels = np.asarray(label.fill_null(False).to_pylist(), dtype=np.bool_)
        case Task.MULTICLASS:
            decisions = _indexes(use_case, table["decision"])
            labels = _indexes(use_case, label.fill_null(use_case.label.classes[0]))
        case Task.REGRESSION:
            decisions, labels = scores, _numbers(label)
            known &= np.isfinite(scores)  # a rule gives no number where what it needs is missing
    return ScoredRows(columns, scores, decisions, labels, known)


def _stored_scores(use_case: UseCase, predictions: pa.Table) -> Scores:
    if not use_case.task.is_multiclass:
        return _numbers(predictions["score"])
    texts = predictions["probabilities"]
    if texts.null_count:
        raise ValueError(f"{texts.null_count:,} of {len(texts):,} have no probabilities of classes")
    found = [json.loads(text) for text in texts.to_pylist()]
    return np.array([[row.get(name, 0.0) for name in use_case.label.classes] for row in found], dtype=np.float64)


def _reference_scores(use_case: UseCase, table: pa.Table) -> Scores:
    """Scores; a class that the version was not trained for has probability 0."""
    if not use_case.task.is_multiclass:
        return _numbers(table["score"])
    names = [f"probability_{name}" for name in use_case.label.classes]
    nothing = np.zeros(len(table))
    return np.column_stack([_numbers(table[name]) if name in table.column_names else nothing for name in names])


def _indexes(use_case: UseCase, words: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Index of each class.

    Raises:
        ValueError: one is no class of the use case.
    """
    classes = use_case.label.classes
    found = pc.index_in(words, value_set=pa.array(classes, pa.string()))
    if found.null_count:
        strange = sorted(set(pc.unique(words).to_pylist()) - set(classes), key=str)
        raise ValueError(f"{strange[0]!r} is not among label.classes ({', '.join(classes)})")
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _column(values: pa.ChunkedArray) -> Any:
    """Texts as a list, anything else as float64; both are read like sequences."""
    texts = pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_dictionary(values.type)
    return values.to_pylist() if texts else _numbers(values)


def _numbers(values: pa.ChunkedArray) -> Scores:
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
