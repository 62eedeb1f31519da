"""Environment of a training: what must be equal for a second run to give the same digits."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from noria.core.use_case import Training
from noria.training.models.base.threads import threads_per_worker

_LIBRARIES = ("numpy", "optuna", "onnx", "onnxruntime", "pyarrow", "scikit-learn", "xgboost")
"""Libraries whose versions change the digits of a model; others do not."""


def record_environment(training: Training | None = None) -> dict[str, str]:
    """Versions of Python and of every library that computes, the kind of machine, and threads and seed of the search.

    Args:
        training: settings of the search; None leaves out threads, workers and seed.
    """
    machine = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}".lower()}
    versions = machine | {name: _version(name) for name in _LIBRARIES}
    if training is None:
        return versions
    # Sums of floats depend on the number of threads: trials are the same on equally many threads.
    return versions | {
        "search_threads": str(threads_per_worker(training.workers)),
        "search_workers": str(training.workers),
        "seed": str(training.seed),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
