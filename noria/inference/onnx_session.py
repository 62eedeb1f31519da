"""ONNX Runtime: a session on one thread, and the only use of its private call.

`InferenceSession.run` checks its arguments, and costs 1.7 µs more than the call below it: 3 % of a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from noria.core.base.errors import BundleError
from noria.core.model.encoder_columns import Matrix

Output = npt.NDArray[np.float32]


class OnnxSession:
    """Runs one graph, with one input and its last output.

    Args:
        graph: the bytes of the ONNX file.

    Raises:
        BundleError: ONNX Runtime cannot load the graph.
    """

    def __init__(self, graph: bytes) -> None:
        self._session = _open(graph)
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[-1].name]
        self._run = direct_run(self._session)

    def run(self, encoded: Matrix) -> Output:
        """Output of encoded rows ``(rows, columns)``."""
        output: Output = self._run(self._outputs, {self._input: encoded}, None)[0]
        return output


def direct_run(session: Any) -> Callable[..., Any]:
    """The call below `InferenceSession.run`; the public one if this ONNX Runtime has no such call."""
    run: Callable[..., Any] = getattr(getattr(session, "_sess", None), "run", session.run)
    return run


def _open(graph: bytes) -> Any:
    import onnxruntime  # not at import time: a rule needs none of it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise BundleError(f"the ONNX graph cannot be loaded ({error}); make the bundle again") from error
