"""ONNX graphs, built from the few nodes that our models need, so that the same model always gives the same bytes.

Trees compare float32 with float32, as in the library that grew them; everything after them is in float64. So a graph agrees
with the fitted model to the last digits, and several models can be averaged inside one graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.use_case import Task

INPUT = "input"
OPSET = 17
ML_OPSET = 3
_IR_VERSION = 8


@dataclass(frozen=True)
class GraphPart:
    """Nodes from the encoded rows (`INPUT`, float32) to margins (float64, ``(rows, outputs)``)."""

    nodes: tuple[Any, ...]
    constants: tuple[Any, ...]
    output: str


def constant(name: str, values: npt.NDArray[Any]) -> Any:
    """A tensor of the graph."""
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def node(operator: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> Any:
    """A node with one output; both have the same name."""
    from onnx import helper

    return helper.make_node(operator, list(inputs), [output], name=output, domain=domain, **attributes)


def as_double(source: str, output: str) -> Any:
    """A node that turns float32 into float64."""
    from onnx import TensorProto

    return node("Cast", [source], output, to=TensorProto.DOUBLE)


def columns(first: int, width: int, name: str) -> GraphPart:
    """The encoded columns from `first` on, as the input of a member of a blend (float32, unlike other parts)."""
    # The names are part of the bytes of bundles.
    indices = constant(f"{name}_places", np.arange(first, first + width, dtype=np.int64))
    return GraphPart((node("Gather", [INPUT, indices.name], f"{name}_columns", axis=1),), (indices,), f"{name}_columns")


def weighted_sum(parts: Sequence[GraphPart], weights: Sequence[float], name: str) -> GraphPart:
    """Weighted sum of the margins of several parts."""
    nodes: list[Any] = [one for part in parts for one in part.nodes]
    constants: list[Any] = [one for part in parts for one in part.constants]
    terms: list[str] = []
    for index, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        constants.append(constant(f"{name}_weight_{index}", np.array(weight, dtype=np.float64)))
        nodes.append(node("Mul", [part.output, constants[-1].name], f"{name}_term_{index}"))
        terms.append(nodes[-1].output[0])
    nodes.append(node("Sum", terms, f"{name}_margins"))
    return GraphPart(tuple(nodes), tuple(constants), f"{name}_margins")


def reading(part: GraphPart, source: str) -> GraphPart:
    """The same nodes, with `source` as input instead of `INPUT`."""
    from onnx import NodeProto

    changed = []
    for one in part.nodes:
        copy = NodeProto()
        copy.CopyFrom(one)
        copy.input[:] = [source if name == INPUT else name for name in one.input]
        changed.append(copy)
    return GraphPart(tuple(changed), part.constants, part.output)


def assemble(task: Task, width: int, part: GraphPart) -> bytes:
    """A complete graph from encoded rows to probabilities ``(rows, 2)`` or ``(rows, classes)``, or numbers ``(rows, 1)``."""
    from onnx import TensorProto, checker, helper

    nodes, constants, output = _link(task, part)
    graph = helper.make_graph(
        nodes,
        "noria",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, None])],
        constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="noria")
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _link(task: Task, part: GraphPart) -> tuple[list[Any], list[Any], str]:
    """The nodes of a part, followed by the link from margins to scores."""
    nodes, constants = list(part.nodes), list(part.constants)
    if task.is_regression:
        nodes.append(node("Identity", [part.output], "number"))
    elif task.is_multiclass:
        nodes.append(node("Softmax", [part.output], "probabilities", axis=1))
    else:
        constants.append(constant("one", np.array(1.0, dtype=np.float64)))
        nodes.append(node("Sigmoid", [part.output], "yes"))
        nodes.append(node("Sub", ["one", "yes"], "no"))
        nodes.append(node("Concat", ["no", "yes"], "probabilities", axis=1))
    return nodes, constants, nodes[-1].output[0]
