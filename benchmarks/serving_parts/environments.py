"""An environment of its own for each peer, made once by uv, with every version that counts pinned."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
CACHE = PROJECT / ".benchmarks" / "serving"
_PIPELINE = ("scikit-learn==1.9.1", "xgboost==3.2.0", "pandas==2.3.3", "numpy==2.4.6")
_FAST = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0")
"""Not every peer asks for the quick parts; all of them get them."""
PACKAGES = {
    "mlflow": ("mlflow==3.17.2", *_PIPELINE, *_FAST[:3]),
    "mlserver": ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", *_PIPELINE, *_FAST[:3]),
    "bentoml": ("bentoml==1.4.40", *_PIPELINE, *_FAST),
    "litserve": ("litserve==0.2.19", *_PIPELINE, *_FAST),
}


_OVERRIDES = "nvidia-nccl-cu12; sys_platform == 'never'\n"
"""XGBoost's wheel asks for a 290 MB GPU collective library that a CPU never loads."""


class MissingPeerError(Exception):
    """A peer that cannot be installed here."""


def python_of(environment: str) -> Path:
    """The interpreter of an environment; the first time this installs it, which takes a minute.

    Raises:
        MissingPeerError: it cannot be installed; the message has uv's reason.
    """
    folder = CACHE / "environments" / environment
    python, done = folder / "bin" / "python", folder / "done"
    wanted = "\n".join(PACKAGES[environment])
    if done.exists() and done.read_text(encoding="ascii") == wanted:
        return python
    print(f"installing {', '.join(PACKAGES[environment])} into {folder}", flush=True)
    with tempfile.TemporaryDirectory() as elsewhere:  # here uv would apply what this project says of its own packages
        run = partial(subprocess.run, check=True, cwd=elsewhere, capture_output=True, text=True)
        (Path(elsewhere) / "overrides.txt").write_text(_OVERRIDES, encoding="ascii")
        flags = ("--compile-bytecode", "--override", "overrides.txt", "--python", python)
        try:
            run([_uv(), "venv", "--clear", "--python", sys.executable, folder])
            run([_uv(), "pip", "install", *flags, *PACKAGES[environment]])
        except subprocess.CalledProcessError as error:
            raise MissingPeerError(f"{environment} cannot be installed:\n{error.stderr.strip()}") from error
    done.write_text(wanted, encoding="ascii")
    return python


def _uv() -> str:
    ours = PROJECT / ".tools" / "uv"
    found = str(ours) if ours.exists() else shutil.which("uv")
    if not found:
        raise SystemExit("uv is not here: run `make setup` first")
    return found
