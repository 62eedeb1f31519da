"""What the reasons of a prediction cost: CPU microseconds per row, one row at a time.

Compared with the same row's prediction (dictionary to score, as serving does it) and with the library's own contributions
(XGBoost's `pred_contribs`; of the linear model one line of numpy without the words), in the same process. The ratios are
explain / predict, and library / explain. `first ms` is the first explanation of a version, which reads its file. `apart` is
the largest difference from the library's values, as a share of the largest of them. Models are fitted to made-up rows of
30 columns.

    make bench NAME=reasons ARGS="--calls 500"
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WIDTH, ROWS, CLASSES = 30, 20_000, 4
NAMES = [f"f{number}" for number in range(WIDTH)]
CASES: dict[str, tuple[str, str, dict[str, float]]] = {
    "linear": ("linear", "binary_classification", {}),
    "100 trees of depth 6": ("gradient_boosting", "binary_classification", {"trees_rounds": 100}),
    "300 trees of depth 6": ("gradient_boosting", "binary_classification", {"trees_rounds": 300}),
    "300 trees of depth 3": ("gradient_boosting", "regression", {"trees_rounds": 300, "trees_depth": 3}),
    "4 classes, 100 trees of depth 6 each": ("gradient_boosting", "multiclass", {"trees_rounds": 100}),
    "forest, 60 trees of 512 leaves": ("random_forest", "binary_classification", {"forest_slope": 1.0}),
}
TRULY_DEEP = {"trees_min_child_weight": 0.5, "trees_gamma": 0.0}
"""Grows every tree to its full depth, which is the most work."""


@dataclass(frozen=True)
class Cost:
    """CPU microseconds per row, the file's kilobytes, and the largest difference between the two kinds of contributions."""

    predict: float
    explain: float
    library: float
    first: float
    kilobytes: float
    apart: float


def main() -> None:
    """Print one line per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="rows that are explained one by one")
    calls = parser.parse_args().calls
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # before the libraries are imported
    heads = ("predict", "explain", "ratio", "XGBoost", "ratio", "first ms", "kB", "apart")
    print(f"{'model':38}" + "".join(f"{head:>10}" for head in heads))
    for name, (kind, task, params) in CASES.items():
        cost = measured(kind, task, params, calls)
        shown = (
            *(f"{cost.predict:.0f}", f"{cost.explain:.0f}", f"{cost.explain / cost.predict:.1f}"),
            *(f"{cost.library:.0f}", f"{cost.library / cost.explain:.1f}"),
            *(f"{cost.first / 1000:.1f}", f"{cost.kilobytes:.0f}", f"{cost.apart:.0e}"),
        )
        print(f"{name:38}" + "".join(f"{figure:>10}" for figure in shown), flush=True)


def measured(kind: str, task: str, params: dict[str, float], calls: int) -> Cost:
    """Fit, put into a bundle, load as serving does, and time one row after another."""
    import numpy as np

    from noria.core.model.bundle import EXPLAINER
    from noria.core.model.explainer import read_explainer
    from serving.predict.reasons import explain

    with tempfile.TemporaryDirectory() as folder:
        estimator, matrix, bundle = fitted(Path(folder), kind, task, params)
        model = served(Path(folder), task, bundle)
        rows = [dict(zip(NAMES, row, strict=True)) for row in matrix[:calls].tolist()]
        first = per_row(lambda row: explain(model, [row], 3), rows[:1])
        predict = per_row(lambda row: model.predictor.score_rows([row]), rows)
        explained = per_row(lambda row: explain(model, [row], 3), rows)
        library = per_row(lambda row: estimator.contributions(row[None, :]), list(matrix[:calls]))
        expected = estimator.contributions(matrix[:50])
        found = read_explainer((bundle / EXPLAINER).read_bytes()).contributions(matrix[:50])
        apart = float(np.abs(found - expected).max() / np.abs(expected).max())
        return Cost(predict, explained, library, first, (bundle / EXPLAINER).stat().st_size / 1000, apart)


def fitted(folder: Path, kind: str, task: str, params: dict[str, float]) -> tuple[Any, Any, Path]:
    """An estimator, the rows it was fitted to, and a bundle of it."""
    import numpy as np

    from noria.core.model.bundle import EXPLAINER, MODEL, Manifest
    from noria.core.model.encoder import Encoder
    from noria.core.model.encoder_columns import NumericColumn
    from noria.core.model.explainer import write_explainer
    from noria.core.model.signature import Field, Kind, Signature
    from noria.core.use_case import Task
    from noria.io.bundle_files import write_bundle
    from noria.training.data.target import PredictionTarget
    from noria.training.models.base.estimator import FitContext
    from noria.training.models.catalog import make_estimator

    random = np.random.default_rng(5)
    matrix = random.normal(size=(ROWS, WIDTH)).astype(np.float32)
    if kind != "linear":
        matrix[random.random(matrix.shape) < 0.1] = np.nan
    known = np.nan_to_num(matrix)
    signal = known[:, 0] * known[:, 1] + known[:, 2] + 0.5 * np.abs(known[:, 3]) + random.normal(size=ROWS)
    labels = {"regression": signal, "multiclass": np.digitize(signal, [-0.5, 0.5, 1.5])}.get(task, signal > 0)
    target = PredictionTarget(Task(task), classes=CLASSES if task == "multiclass" else 2)
    candidate = make_estimator(kind, target)
    full = {**candidate.defaults, **(TRULY_DEEP if kind == "gradient_boosting" else {}), **params}
    estimator = candidate.fit(matrix, labels, full, FitContext(5, 1))
    manifest = Manifest(
        use_case="bench",
        kind="onnx",
        candidate=kind,
        signature=Signature(fields=tuple(Field(name=name, kind=Kind.NUMERIC) for name in NAMES)),
        task=target.task,
        classes=tuple(f"class {number}" for number in range(CLASSES)) if task == "multiclass" else (),
        encoder=Encoder(
            columns=tuple(NumericColumn(name=name, missing=0.0 if kind == "linear" else None) for name in NAMES)
        ),
    )
    explainer = write_explainer(estimator.explained(), target.outputs, WIDTH)
    write_bundle(folder / "bundle", manifest, {MODEL: candidate.to_onnx(estimator, WIDTH), EXPLAINER: explainer})
    return estimator, matrix, folder / "bundle"


def served(folder: Path, task: str, bundle: Path) -> Any:
    """The bundle as serving holds it."""
    from noria.inference.predictor import load_predictor
    from noria.testing.builders import a_use_case, use_case_fields
    from serving.models.served_model import Origin, ServedModel

    rules = {"multiclass": "'late' if f0 >= 1 else 'on_time'", "regression": "first(f0, 0)"}
    business = {**use_case_fields(task=task)["business"], "baseline": rules.get(task, "f0 >= 1")}
    features = {"model": "ftr_bench", "numeric": NAMES}
    use_case = a_use_case(folder, name="bench", task=task, features=features, segments=[], business=business)
    return ServedModel(use_case, load_predictor(bundle), "1", "", datetime(2024, 1, 1, tzinfo=UTC), Origin.DISK)


def per_row(work: Callable[[Any], object], rows: list[Any]) -> float:
    """CPU microseconds of a row, the median of five rounds over all of them."""
    rounds = []
    for _ in range(5 if len(rows) > 1 else 1):
        started = time.process_time()
        for row in rows:
            work(row)
        rounds.append((time.process_time() - started) / len(rows) * 1e6)
    return sorted(rounds)[len(rounds) // 2]


if __name__ == "__main__":
    main()
