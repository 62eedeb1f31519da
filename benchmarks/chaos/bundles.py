"""Bundles for faults: good ones with different predictions, and bad ones whose faults show only under requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from noria.core.model.bundle import GOLDEN, MODEL, Manifest, Provenance
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import NumericColumn, OneHotColumn
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import DEFAULT_TASK
from noria.inference.predictor import OnnxPredictor
from noria.io.bundle_files import write_bundle
from noria.training.models.base.onnx_graph import INPUT, GraphPart, as_double, assemble, constant, node

INSTANCE = {"weight": 3.5, "hour": 19, "depot": "north"}
_DEPOTS = ("north", "south")
_HEAVY = 1600
"""Rows and columns of the matrices that a slow version multiplies."""


class Behaviour(StrEnum):
    """How a version behaves."""

    GOOD = "good"
    NO_NUMBER = "no number"
    """Its example and its golden request pass; the score of a parcel of more than 60 kg is NaN."""
    SLOW = "slow"
    """Takes many times as long as others."""


def make_bundle(folder: Path, use_case: str, number: int, behaviour: Behaviour = Behaviour.GOOD) -> str:
    """Write a bundle with the same contract as every other of its use case; returns its digest.

    Args:
        folder: to write it to.
        use_case: it is for, as `noria.testing.builders` writes one.
        number: seed of the model.
        behaviour: how it behaves.
    """
    depots = Field(name="depot", kind=Kind.CATEGORICAL, categories=_DEPOTS, example="north")
    weight = Field(name="weight", kind=Kind.NUMERIC, unit="kg", minimum=0, maximum=70, example=3.5)
    hour = Field(name="hour", kind=Kind.NUMERIC, required=True, minimum=0, maximum=23, example=19)
    manifest = Manifest(
        use_case=use_case,
        kind="onnx",
        candidate="linear",
        signature=Signature(fields=(weight, hour, depots)),
        encoder=Encoder(
            columns=(
                NumericColumn(name="weight", scale=10, missing=0.0),
                NumericColumn(name="hour", scale=10, missing=0.0),
                OneHotColumn(name="depot", categories=_DEPOTS),
            )
        ),
        provenance=Provenance(
            as_of=datetime(2024, 5, 1, tzinfo=UTC) + timedelta(days=number),
            snapshot="5" * 64,
            specification="6" * 64,
            seed=number,
        ),
        metrics={"roc_auc": 0.7},
    )
    graph = _graph(number, behaviour)
    (score,) = OnnxPredictor(manifest, graph).score_rows([INSTANCE]).tolist()
    golden = json.dumps([{"instance": INSTANCE, "score": score}]).encode()
    return write_bundle(folder, manifest, {MODEL: graph, GOLDEN: golden})


def _graph(number: int, behaviour: Behaviour) -> bytes:
    """A linear model of the encoded row, with the nodes that make it misbehave."""
    weights = np.random.default_rng(number).normal(size=(4, 1))
    constants = [constant("weights", weights)]
    nodes = [as_double(INPUT, "doubles"), node("MatMul", ["doubles", "weights"], "line")]
    more = {Behaviour.GOOD: lambda: ([], []), Behaviour.NO_NUMBER: _no_number, Behaviour.SLOW: _slow}[behaviour]()
    nodes += more[0]
    constants += more[1]
    if more[0]:
        nodes.append(node("Add", ["line", more[0][-1].output[0]], "margins"))
    return assemble(DEFAULT_TASK, 4, GraphPart(tuple(nodes), tuple(constants), nodes[-1].output[0]))


def _no_number() -> tuple[list[Any], list[Any]]:
    """The square root of 60 kg minus the weight."""
    constants = [constant("place", np.array([0], dtype=np.int64)), constant("limit", np.array(6.0))]
    nodes = [
        node("Gather", ["doubles", "place"], "weight", axis=1),
        node("Sub", ["limit", "weight"], "left"),
        node("Sqrt", ["left"], "root"),
    ]
    return nodes, constants


def _slow() -> tuple[list[Any], list[Any]]:
    """A product of large matrices that depends on the row, so it cannot be precomputed; it adds 0."""
    shape = constant("shape", np.array([_HEAVY, _HEAVY], dtype=np.int64))
    constants = [shape, constant("nothing", np.array(0.0))]
    nodes = [
        node("ReduceMax", ["doubles"], "largest", keepdims=0),
        node("Expand", ["largest", "shape"], "square"),
        node("MatMul", ["square", "square"], "product"),
        node("ReduceMax", ["product"], "product_largest", keepdims=0),
        node("Mul", ["product_largest", "nothing"], "delay"),
    ]
    return nodes, constants
