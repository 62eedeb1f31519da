"""Saves the pipeline as an MLflow model, for `mlflow models serve`: python mlflow_save.py MODEL_FOLDER INTO"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mlflow.sklearn
from pipeline import make_pipeline


def main() -> None:
    folder, into = map(Path, sys.argv[1:3])
    shutil.rmtree(into, ignore_errors=True)
    pipeline, _rows = make_pipeline(folder)
    # its own packages are named: else MLflow looks for them for a minute
    options = {"pip_requirements": ["scikit-learn", "xgboost"], "serialization_format": "cloudpickle"}
    mlflow.sklearn.save_model(pipeline, into, pyfunc_predict_fn="predict_proba", **options)


if __name__ == "__main__":
    main()
