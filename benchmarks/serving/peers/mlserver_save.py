"""Saves the pipeline for `mlserver start`: python mlserver_save.py MODEL_FOLDER INTO"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
from pipeline import make_pipeline


def main() -> None:
    folder, into = map(Path, sys.argv[1:3])
    into.mkdir(parents=True, exist_ok=True)
    joblib.dump(make_pipeline(folder)[0], into / "model.joblib")
    model = {"name": "model", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    (into / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    # in one process: with a pool of processes, each request would also go from one to the other
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, "use_structured_logging": False}
    (into / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


if __name__ == "__main__":
    main()
