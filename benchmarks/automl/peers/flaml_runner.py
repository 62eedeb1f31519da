"""Runs in FLAML's environment: fits within the budget, writes scores of the test rows. JOB"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from flaml import AutoML
from flaml import __version__ as version

job = json.loads(Path(sys.argv[1]).read_text())
features = job["numeric"] + job["categorical"]


def rows(part):
    found = pd.read_parquet(Path(job["folder"]) / f"{part}.parquet")
    for name in job["categorical"]:
        found[name] = found[name].astype("string").fillna("(missing)").astype("category")
    return found[features], found["label"]


matrix, label = rows("train")
label = {
    "multiclass": lambda: label.map({name: index for index, name in enumerate(job["classes"])}).astype(int),
    "binary_classification": lambda: label.astype(int),
    "regression": lambda: label.astype(float),
}[job["task"]]()
test, _ = rows("test")
for name in job["categorical"]:  # the same codes for both
    test[name] = test[name].cat.set_categories(matrix[name].cat.categories)
metric = {"binary_classification": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[job["task"]]
automl = AutoML()
automl.fit(
    matrix,
    label,
    task="regression" if job["task"] == "regression" else "classification",
    metric=metric,
    time_budget=max(1.0, job["seconds"] - (time.time() - job["started"])),
    n_jobs=job["cores"],
    seed=job["seed"],
    verbose=0,
)
fitted = time.time() - job["started"]
if job["task"] == "regression":
    scores = automl.predict(test)
else:
    scores = automl.predict_proba(test)
    scores = scores[:, 1] if job["task"] == "binary_classification" else scores
np.save(job["scores"], np.asarray(scores, dtype=np.float64))
Path(job["report"]).write_text(json.dumps({"seconds": fitted, "version": version, "model": str(automl.best_estimator)}))
