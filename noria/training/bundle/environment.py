"""What a training ran on, so that it can be run again and give the same digits."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from noria.core.use_case import UseCase
from noria.training.models.base.threads import threads_per_worker

_LIBRARIES = ("numpy", "optuna", "onnx", "onnxruntime", "pyarrow", "scikit-learn", "xgboost")
"""Those whose digits end up in a model. A trained model does not depend on any other."""


def record_environment(use_case: UseCase | None = None) -> dict[str, str]:
    """Versions of Python and of every library that computes, the machine's kind, and the search's threads and seed.

    Args:
        use_case: whose search it is; None leaves out threads, workers and seed.
    """
    machine = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}".lower()}
    found = machine | {name: _version(name) for name in _LIBRARIES}
    if use_case is None:
        return found
    training = use_case.training
    # Sums of floats depend on how many threads share them: trials are the same on as many threads.
    return found | {
        "search_threads": str(threads_per_worker(training.workers)),
        "search_workers": str(training.workers),
        "seed": str(training.seed),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
