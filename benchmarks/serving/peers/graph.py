"""The model as its graph behind an encoder of plain dictionary lookups: the quickest that Python can do. Runs in a peer's
environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

NAN = float("nan")


def make_scorer(folder: Path) -> Callable[[list[dict[str, Any]]], list[float]]:
    """Gives the probabilities of yes of rows."""
    encoding = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    numbers = encoding["numbers"]
    one_hot = [(name, _one_hot(values), [0.0] * len(values)) for name, values in encoding["one_hot"].items()]
    ordinal = [(name, {value: float(i) for i, value in enumerate(values)}) for name, values in encoding["ordinal"].items()]
    session = _session(folder / "graph.onnx")
    source, output = session.get_inputs()[0].name, session.get_outputs()[-1].name

    def encode(row: dict[str, Any]) -> list[float]:
        get = row.get
        encoded = [NAN if (value := get(name)) is None else value for name in numbers]
        for name, known, nothing in one_hot:
            encoded += known.get(get(name), nothing)
        for name, codes in ordinal:
            encoded.append(codes.get(get(name), NAN))
        return encoded

    def score(rows: list[dict[str, Any]]) -> list[float]:
        matrix = np.array([encode(row) for row in rows], dtype=np.float32)
        (found,) = session.run([output], {source: matrix})
        scores: list[float] = found[:, 1].tolist()
        return scores

    return score


def _one_hot(values: list[str]) -> dict[Any, list[float]]:
    return {value: [float(value == other) for other in values] for value in values}


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
