"""Small bundles of each task, made by hand: made-up parcels, an encoder, a scikit-learn model as ONNX graph."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from noria.core.model.bundle import MODEL, Manifest, Provenance
from noria.core.model.calibration import Calibration
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import LookupColumn, NumericColumn, OneHotColumn
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import Task
from noria.io.bundle_files import write_bundle

CLASSES = ("on_time", "late", "lost parcel")
DEPOTS = ("north", "south", "harbour")
STREETS = tuple(f"street {number}" for number in range(12))
PAYOFFS = ((0.0, -4.0, -30.0), (-2.0, 3.0, -25.0), (-6.0, -3.0, -1.0))
SHARPER = Calibration(kind="sigmoid", slope=1.3, intercept=-0.2)
SIGNATURE = Signature(
    fields=(
        Field(name="weight", kind=Kind.NUMERIC, unit="kg", example=2.5),
        Field(name="hour", kind=Kind.NUMERIC, required=True, example=9),
        Field(name="depot", kind=Kind.CATEGORICAL, categories=DEPOTS, example="north"),
        Field(name="street", kind=Kind.CATEGORICAL, categories=STREETS, example="street 1"),
    )
)
ENCODER = Encoder(
    columns=(
        NumericColumn(name="weight", center=5.0, scale=2.0, missing=0.0),
        NumericColumn(name="hour", center=12.0, scale=6.0, missing=0.0),
        OneHotColumn(name="depot", categories=DEPOTS),
        LookupColumn(name="street", values={s: i / 12 for i, s in enumerate(STREETS)}, unseen=0.5, missing=-1.0),
    )
)


def made_up_rows(rows: int, seed: int = 7) -> dict[str, list[Any]]:
    """Raw features as columns; a tenth of the values missing, a tenth of the texts never seen by any encoder."""
    random = np.random.default_rng(seed)

    def gaps(values: list[Any], unseen: str | None = None) -> list[Any]:
        drawn = random.random(rows)
        return [None if d < 0.1 else unseen if unseen and d < 0.2 else v for v, d in zip(values, drawn, strict=True)]

    return {
        "weight": gaps((random.random(rows) * 10).tolist()),
        "hour": random.integers(0, 24, rows).astype(float).tolist(),
        "depot": gaps(random.choice(DEPOTS, rows).tolist(), "the moon"),
        "street": gaps(random.choice(STREETS, rows).tolist(), "Ünséen 'street', 1"),
    }


def model_bundle(folder: Path, use_case: str, task: Task) -> tuple[Path, str]:
    """A sealed bundle with an ONNX graph; returns its folder and digest."""
    manifest = Manifest(
        use_case=use_case,
        kind="onnx",
        candidate="linear",
        task=task,
        signature=SIGNATURE,
        threshold=0.4,
        classes=CLASSES if task is Task.MULTICLASS else (),
        payoffs=PAYOFFS if task is Task.MULTICLASS else (),
        encoder=ENCODER,
        calibration=SHARPER if task is Task.BINARY_CLASSIFICATION else Calibration(),
        provenance=Provenance(as_of=datetime(2024, 5, 1, tzinfo=UTC), snapshot="5" * 64, specification="6" * 64, seed=7),
        metrics={"value": 1234.5},
    )
    return folder, write_bundle(folder, manifest, {MODEL: _graph(task), "golden.json": b"[]"})


def _graph(task: Task) -> bytes:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression, Ridge

    encoded = ENCODER.encode_columns(made_up_rows(400))
    signal = encoded @ np.linspace(-1.5, 1.5, ENCODER.width)
    if task is Task.REGRESSION:
        model = Ridge().fit(encoded, 100 + 20 * signal)
        return bytes(to_onnx(model, encoded[:1], target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString())
    labels = np.digitize(signal, np.quantile(signal, [0.5] if task is Task.BINARY_CLASSIFICATION else [0.4, 0.8]))
    model = LogisticRegression().fit(encoded, labels)
    options = {"zipmap": False}
    return bytes(to_onnx(model, encoded[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString())
