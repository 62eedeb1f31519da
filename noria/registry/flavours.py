"""Makes a bundle an MLflow model too: the MLmodel file and its neighbours, laid beside the sealed files in the registry.

    MLmodel                      two flavours. python_function: raw features in, score and decision out, by
                                 `noria.registry.pyfunc_flavour`. onnx: the bare graph, for encoded rows; a rule has none
    requirements.txt             what both need, pinned to what they were made with
    python_env.yaml              the interpreter, and the file above
    input_example.json           a typical row, for MLflow's pages
    serving_input_example.json   the same as a request to `mlflow models serve`

They are no part of the bundle: its manifest does not list them, its digest does not depend on them, and serving never reads
them.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from noria.core.model.bundle import MODEL, Manifest
from noria.core.model.signature import Kind
from noria.core.use_case import Task
from noria.registry.pyfunc_flavour import DECISION, PROBABILITY, SCORE

LOADER = "noria.registry.pyfunc_flavour"
_REQUIREMENTS = "requirements.txt"
_PYTHON_ENV = "python_env.yaml"
_INPUT_EXAMPLE = "input_example.json"
_SERVING_INPUT_EXAMPLE = "serving_input_example.json"
# What noria.inference and the flavours import. MLflow would find out by itself, by importing everything, in 38 seconds.
_NEEDED = ("mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pydantic", "pyyaml")
_ONNX_INPUT = (
    "the float32 matrix that the encoder in bundle.json makes of the raw features; its output is not calibrated yet. "
    "The python_function flavour takes raw features and does both."
)
_NUMBERS = (
    "numeric features are doubles, NaN or None where missing; MLflow refuses a data frame with a column of 64-bit integers: "
    "cast it to float64. JSON that is sent to `mlflow models serve` needs no cast."
)


def write_flavours(manifest: Manifest, digest: str, run_id: str, into: Path) -> None:
    """Write the files that make a bundle an MLflow model.

    Args:
        manifest: the bundle's.
        digest: the bundle's, kept in the metadata.
        run_id: the run that the model belongs to.
        into: an empty folder, not the bundle's own.
    """
    example = _write_example(manifest, into)
    (into / _REQUIREMENTS).write_text(_requirements(), encoding="utf-8")
    (into / _PYTHON_ENV).write_text(_python_env(), encoding="utf-8")
    _describe(manifest, digest, run_id, example).save(str(into / "MLmodel"))


def _describe(manifest: Manifest, digest: str, run_id: str, example: dict[str, str] | None) -> Any:
    from mlflow.models import Model

    model = Model(
        artifact_path="bundle",
        run_id=run_id,
        signature=_signature(manifest),
        saved_input_example_info=example,
        metadata=_metadata(manifest, digest),
    )
    # What mlflow.pyfunc.add_to_model writes; importing mlflow.pyfunc for it makes MLflow warn about its own types.
    model.add_flavor(
        "python_function",
        loader_module=LOADER,
        python_version=platform.python_version(),
        env={"virtualenv": _PYTHON_ENV},
    )
    if MODEL in manifest.files:
        options = {
            "execution_mode": "sequential",
            "inter_op_num_threads": 1,
            "intra_op_num_threads": 1,
            "extra_session_config": {"session.intra_op.allow_spinning": "0"},
        }
        providers = ["CPUExecutionProvider"]
        model.add_flavor("onnx", onnx_version=version("onnx"), data=MODEL, providers=providers, onnx_session_options=options)
    return model


def _signature(manifest: Manifest) -> Any:
    """Raw features in, score and decision out; a feature is optional unless the use case requires it."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = {Kind.NUMERIC: "double", Kind.CATEGORICAL: "string"}
    inputs = [ColSpec(types[field.kind], field.name, required=field.required) for field in manifest.signature.fields]
    decided = {Task.BINARY_CLASSIFICATION: "boolean", Task.MULTICLASS: "string", Task.REGRESSION: "double"}
    outputs = [ColSpec("double", SCORE), ColSpec(decided[manifest.task], DECISION)]
    if manifest.task.is_multiclass:
        outputs += [ColSpec("double", f"{PROBABILITY}{name}") for name in manifest.classes]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _metadata(manifest: Manifest, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "use_case": manifest.use_case,
        "task": str(manifest.task),
        "candidate": manifest.candidate,
        "bundle_digest": digest,
        "numbers": _NUMBERS,
    }
    if manifest.task.is_binary:
        found["threshold"] = manifest.threshold
    if MODEL in manifest.files:
        found["onnx_input"] = _ONNX_INPUT
    return found


def _requirements() -> str:
    # Noria itself comes from its repository: an index may hold something else under that name.
    pins = "".join(f"{name}=={version(name)}\n" for name in _NEEDED)
    return f"# and the noria library, version {version('noria')}, installed from its own repository\n{pins}"


def _python_env() -> str:
    import yaml

    return yaml.safe_dump(
        {"python": platform.python_version(), "build_dependencies": ["pip"], "dependencies": [f"-r {_REQUIREMENTS}"]},
        sort_keys=False,
    )


def _write_example(manifest: Manifest, into: Path) -> dict[str, str] | None:
    """A typical row, where training saw one; returns what MLmodel says of it."""
    row = {field.name: field.example for field in manifest.signature.fields}
    if all(value is None for value in row.values()):
        return None
    split = {"columns": list(row), "data": [list(row.values())]}
    (into / _INPUT_EXAMPLE).write_text(json.dumps(split), encoding="utf-8")
    (into / _SERVING_INPUT_EXAMPLE).write_text(json.dumps({"dataframe_split": split}, indent=1), encoding="utf-8")
    return {
        "artifact_path": _INPUT_EXAMPLE,
        "serving_input_path": _SERVING_INPUT_EXAMPLE,
        "type": "dataframe",
        "pandas_orient": "split",
    }
