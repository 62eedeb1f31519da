"""The one model that every server gets: 20 features, gradient boosting of 300 trees, in every format that they read.

graph.onnx      the trees alone, as Noria's bundles hold them
booster.json    the same trees as XGBoost's own file
encoder.json    names of the features, and the values that each category may have
rows.json       rows to compare predictions on, with missing values and unseen categories
scores.json     Noria's predictions for them
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.folders import CACHE
from noria.core.model.bundle import Manifest, Provenance
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import LookupColumn, NumericColumn, OneHotColumn
from noria.core.model.signature import Field, Kind, Signature
from noria.inference.predictor import OnnxPredictor
from noria.training.data.target import BINARY
from noria.training.models.base.estimator import FitContext
from noria.training.models.gradient_boosting import GradientBoosting

USE_CASE = "parcels"
ENTITY = "parcel_id"
TREES = 300
NUMBERS = tuple(f"number_{index}" for index in range(14))
ONE_HOT = {f"kind_{index}": tuple(f"k{value}" for value in range(4)) for index in range(3)}
"""Categories with few values: each becomes one column per value."""
ORDINAL = {f"place_{index}": tuple(f"p{value}" for value in range(50)) for index in range(3)}
"""Categories with many values: the trees see the number of the value, NaN where it is missing or unseen."""
FeatureRow = dict[str, float | str | None]
_ROWS, _COMPARED, _SEED = 20_000, 2_000, 7
_FORMAT = "1"
"""Number of the training; another number trains the model again."""


@dataclass(frozen=True)
class BenchmarkModel:
    """The files of the model, with the rows to compare on and their scores."""

    folder: Path
    rows: tuple[FeatureRow, ...]
    scores: tuple[float, ...]

    @property
    def graph(self) -> bytes:
        """The trees as an ONNX graph."""
        return (self.folder / "graph.onnx").read_bytes()


def load_or_train() -> BenchmarkModel:
    """The model from the cache; trained where there is none."""
    folder = CACHE / "serving" / f"model-{_FORMAT}"
    if not (folder / "scores.json").exists():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        _train(folder)
    rows, scores = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("rows.json", "scores.json"))
    return BenchmarkModel(folder, tuple(rows), tuple(scores))


def encoder() -> Encoder:
    """The encoder from a row to numbers."""
    ordinals = ({value: float(index) for index, value in enumerate(values)} for values in ORDINAL.values())
    return Encoder(
        columns=(
            *(NumericColumn(name=name) for name in NUMBERS),
            *(OneHotColumn(name=name, categories=values) for name, values in ONE_HOT.items()),
            *(LookupColumn(name=name, values=values) for name, values in zip(ORDINAL, ordinals, strict=True)),
        )
    )


def manifest() -> Manifest:
    """The bundle's manifest, before it is sealed."""
    numbers = (Field(name=name, kind=Kind.NUMERIC, minimum=-10, maximum=10) for name in NUMBERS)
    words = (Field(name=name, kind=Kind.CATEGORICAL, categories=values) for name, values in {**ONE_HOT, **ORDINAL}.items())
    return Manifest(
        use_case=USE_CASE,
        kind="onnx",
        candidate="gradient_boosting",
        signature=Signature(fields=(*numbers, *words)),
        encoder=encoder(),
        provenance=Provenance(as_of=datetime(2024, 1, 1, tzinfo=UTC), snapshot="5" * 64, specification="6" * 64, seed=_SEED),
    )


def _train(folder: Path) -> None:
    print(f"training {TREES} trees into {folder}", flush=True)
    rows = _draw(_ROWS)
    matrix = encoder().encode_columns({name: [row[name] for row in rows] for name in rows[0]})
    known = np.nan_to_num(matrix)
    noise = np.random.default_rng(_SEED + 1).normal(size=len(rows))
    labels = known[:, 0] + known[:, 1] * known[:, 2] + (known[:, 14] - known[:, 20]) + known[:, -1] / 25 - 1 + noise > 0
    kind = GradientBoosting(BINARY)
    trees = kind.fit(matrix, labels, {**kind.defaults, "trees_rounds": TREES}, FitContext(_SEED, 1))
    graph = kind.to_onnx(trees, matrix.shape[1])
    (folder / "graph.onnx").write_bytes(graph)
    (folder / "booster.json").write_text(json.dumps(_booster(trees)), encoding="utf-8")
    encoding = {"numbers": NUMBERS, "one_hot": ONE_HOT, "ordinal": ORDINAL}
    (folder / "encoder.json").write_text(json.dumps(encoding), encoding="utf-8")
    compared = _with_gaps(rows[:_COMPARED])
    (folder / "rows.json").write_text(json.dumps(compared), encoding="utf-8")
    scores = OnnxPredictor(manifest(), graph).score_rows(compared).tolist()
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")


def _booster(trees: Any) -> Any:
    """XGBoost's own file, with the base score in it: Noria keeps that beside the trees."""
    content = json.loads(bytes(trees.booster.save_raw("json")))
    rate = 1 / (1 + math.exp(-float(trees.base[0])))
    content["learner"]["learner_model_param"]["base_score"] = f"[{rate!r}]"
    return content


def _draw(count: int) -> list[FeatureRow]:
    draw = np.random.default_rng(_SEED)
    columns: dict[str, list[Any]] = {name: draw.normal(size=count).round(4).tolist() for name in NUMBERS}
    for name, values in {**ONE_HOT, **ORDINAL}.items():
        columns[name] = [values[index] for index in draw.integers(len(values), size=count)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _with_gaps(rows: list[FeatureRow]) -> list[FeatureRow]:
    """Every second row as it is; the others get missing values and unseen categories."""
    draw = np.random.default_rng(_SEED + 2)
    return [row if index % 2 else _with_gap(row, draw) for index, row in enumerate(rows)]


def _with_gap(row: Mapping[str, Any], draw: np.random.Generator) -> FeatureRow:
    changed: FeatureRow = dict(row)
    for name in draw.choice(list(row), size=3, replace=False):
        changed[str(name)] = "never seen" if name not in NUMBERS and draw.random() < 0.5 else None
    return changed
