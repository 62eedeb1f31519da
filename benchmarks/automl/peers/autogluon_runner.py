"""Runs in AutoGluon's environment: fits within the budget (medium_quality), writes scores of the test rows. JOB"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from autogluon.tabular import __version__ as version

job = json.loads(Path(sys.argv[1]).read_text())
features = job["numeric"] + job["categorical"]

train = pd.read_parquet(Path(job["folder"]) / "train.parquet")[[*features, "label"]]
test = pd.read_parquet(Path(job["folder"]) / "test.parquet")[features]
kind, metric = {
    "binary_classification": ("binary", "roc_auc"),
    "multiclass": ("multiclass", "log_loss"),
    "regression": ("regression", "root_mean_squared_error"),
}[job["task"]]
if kind == "binary":
    train["label"] = train["label"].astype(int)
folder = tempfile.mkdtemp(prefix="autogluon-")
predictor = TabularPredictor(label="label", problem_type=kind, eval_metric=metric, path=folder, verbosity=0)
predictor.fit(
    train,
    presets="medium_quality",
    time_limit=max(1.0, job["seconds"] - (time.time() - job["started"])),
    num_cpus=job["cores"],
    num_gpus=0,
)
fitted = time.time() - job["started"]
if kind == "regression":
    scores = predictor.predict(test).to_numpy()
elif kind == "binary":
    scores = predictor.predict_proba(test)[1].to_numpy()
else:
    scores = predictor.predict_proba(test)[job["classes"]].to_numpy()
np.save(job["scores"], np.asarray(scores, dtype=np.float64))
Path(job["report"]).write_text(json.dumps({"seconds": fitted, "version": version, "model": predictor.model_best}))
shutil.rmtree(folder, ignore_errors=True)
