"""Small trained bundles of the three tasks: a linear model of random data, exported to ONNX."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from noria.core.lifecycle.registry import GateOutcome
from noria.core.model.bundle import GOLDEN, MODEL, Manifest, Provenance
from noria.core.model.decision import policy_of
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import NumericColumn, OneHotColumn
from noria.core.model.signature import Field, Kind, Signature
from noria.inference.predictor import OnnxPredictor
from noria.io.bundle_files import write_bundle
from noria.testing.builders import a_use_case

USE_CASE = "parcels"
DEPOTS = ("north", "south")
OUTCOME = GateOutcome(passed=True, summary="roc_auc 0.71 (baseline 0.55)", judged_against="0")
"""Outcome of the gates that training registers with a version."""
BINARY, REGRESSION = "binary_classification", "regression"
FIELDS = (
    Field(name="weight", kind=Kind.NUMERIC, unit="kg", description="Weight", minimum=0, maximum=70, example=3.5),
    Field(name="hour", kind=Kind.NUMERIC, required=True, minimum=0, maximum=23, example=19),
    Field(name="depot", kind=Kind.CATEGORICAL, categories=DEPOTS, example="north"),
)


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, and what it must answer for the instance below: a score, or one of each class."""

    folder: Path
    digest: str
    score: Any


INSTANCE = {"weight": 3.5, "hour": 19, "depot": "north"}
ENCODER = Encoder(
    columns=(
        NumericColumn(name="weight", center=10, scale=5, missing=0.0),
        NumericColumn(name="hour", center=12, scale=6, missing=0.0),
        OneHotColumn(name="depot", categories=DEPOTS),
    )
)


def _train(seed: int, task: str) -> bytes:
    """A linear model of random data, as a graph; each seed gives another one."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression, LogisticRegression

    draw = np.random.default_rng(seed)
    features = draw.normal(size=(400, ENCODER.width)).astype(np.float32)
    signal = features @ draw.normal(size=ENCODER.width) + draw.normal(size=400)
    if task == REGRESSION:
        model, options = LinearRegression().fit(features, 100 + 100 * signal), {}
    else:
        target = signal > 0 if task == BINARY else np.digitize(signal, [0.0, 1.0])
        model, options = LogisticRegression().fit(features, target), {"zipmap": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own, about its dependencies
        graph = to_onnx(model, features[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    return graph.SerializeToString()


def make_bundle(
    new_folder: Callable[[str], Path],
    seed: int,
    *,
    use_case: str = USE_CASE,
    task: str = BINARY,
    graph_of: str | None = None,
    golden_score: float | None = None,
    as_of: int = 1,
    **changes: Any,
) -> Bundle:
    """A trained bundle; `changes` are made to its manifest after the golden request was answered."""
    graph = _train(seed, graph_of or task)
    policy = policy_of(a_use_case(new_folder("policy"), name=use_case, task=task), threshold=0.4)
    plain = Manifest(
        use_case=use_case,
        kind="onnx",
        candidate="linear",
        signature=Signature(fields=FIELDS),
        task=policy.task,
        threshold=policy.threshold,
        classes=policy.classes,
        payoffs=policy.payoffs,
        encoder=ENCODER,
        provenance=Provenance(as_of=datetime(2024, 5, as_of, tzinfo=UTC), snapshot="5" * 64, specification="6" * 64, seed=7),
        metrics={"roc_auc": 0.71},
    )
    (score,) = OnnxPredictor(plain, graph).score_rows([INSTANCE]).tolist()
    golden = [{"instance": INSTANCE, "score": score if golden_score is None else golden_score}]
    folder = new_folder("bundle")
    files = {MODEL: graph, GOLDEN: json.dumps(golden).encode()}
    return Bundle(folder, write_bundle(folder, plain.model_copy(update=changes), files), score)
