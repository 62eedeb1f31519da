"""Noria by its public path: a use case, a snapshot, search workers on one study, a sealed bundle; scores from the bundle.

    python -m benchmarks.automl.noria_runner JOB

JOB is the path of a JSON file. The search gets what is left of the budget after a share for the fits, the evaluation and the
export that follow it. A regression is scored before the shift to the quantile that costs least: RMSE needs the mean.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from noria.core.base.results import SnapshotRef
from noria.core.model.bundle import MODEL
from noria.core.model.calibration import Calibration
from noria.core.use_case import UseCase
from noria.inference.predictor import OnnxPredictor, baseline_predictor, load_predictor
from noria.io.bundle_files import read_manifest
from noria.testing.builders import a_use_case
from noria.training.bundle.build import fit_bundle
from noria.training.search.selection import best_trial
from noria.training.search.worker import run_worker

MORE_THAN_TIME_ALLOWS = 100_000
MOST_KEPT_SECONDS = 100
"""The fits after the search grow with the rows, not with the budget: they took 10 to 47 seconds of three minutes."""
METRIC = {"binary_classification": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def main() -> None:
    """Train, and score the test rows with what would be served."""
    job = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory(prefix="noria-") as place:
        folder = Path(place)
        warm_up()
        left = job["seconds"] - (time.time() - job["started"])
        kept = min(job["seconds"] * job["reserve"], MOST_KEPT_SECONDS)
        use_case = the_use_case(job, folder, minutes=max(1.0, left - kept) / 60)
        snapshot = the_snapshot(job)
        search(use_case, snapshot, job["storage_url"])
        searched = time.time() - job["started"]
        bundle, facts = fit(use_case, snapshot, job["storage_url"], folder / "bundle")
        fitted = time.time() - job["started"]
        scores = score(bundle, job)
    np.save(job["scores"], scores)
    Path(job["report"]).write_text(json.dumps({"seconds": fitted, "searched": searched, "version": "this tree", **facts}))


def warm_up() -> None:
    """Import the libraries of the workers before these are forked, as Airflow's scheduler does."""
    import optuna  # noqa: F401
    import psycopg2  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import xgboost  # noqa: F401


def the_use_case(job: dict[str, Any], folder: Path, minutes: float) -> UseCase:
    """The data set as a use case; the value of right and wrong predictions is as even as possible."""
    return a_use_case(
        folder,
        task=job["task"],
        entity="row_id",
        event_time="event_time",
        label={"model": "lbl", "column": "label", "available_after": "1m", **classes_of(job)},
        features={"model": "ftr", "numeric": job["numeric"], "categorical": job["categorical"]},
        business={"decision": "none", "currency": "EUR", **value_of(job)},
        segments=[],
        gates=[],
        training={
            "candidates": ["linear", "gradient_boosting", "random_forest", "blend"],
            "trials": MORE_THAN_TIME_ALLOWS,
            "minutes": minutes,
            "workers": job["cores"],
            "metric": METRIC[job["task"]],
            "seed": job["seed"],
            "min_labels": 10,
            "test_window": f"{window_days(job)}d",
            "split": {"by": "time" if job["by_time"] else "stratified"},
        },
    )


def window_days(job: dict[str, Any]) -> int:
    """A tenth of the time span, in days; matters where rows are held back by time."""
    times = pq.read_table(Path(job["folder"]) / "train.parquet", columns=["event_time"])["event_time"]
    span: timedelta = pc.max(times).as_py() - pc.min(times).as_py()
    return max(1, span.days // 10)


def classes_of(job: dict[str, Any]) -> dict[str, Any]:
    return {"classes": job["classes"]} if job["task"] == "multiclass" else {}


def value_of(job: dict[str, Any]) -> dict[str, Any]:
    classes = job["classes"]
    if job["task"] == "multiclass":
        value: Any = {one: {other: float(one == other) for other in classes} for one in classes}
        return {"value": value, "baseline": f"'{classes[0]}'"}
    if job["task"] == "regression":
        return {"value": {"over": -1, "under": -1}, "baseline": "0"}
    value = {"true_positive": 1, "false_positive": -1, "false_negative": -1, "true_negative": 1}
    return {"value": value, "baseline": f"{(job['numeric'] + job['categorical'])[0]} == 0"}


def the_snapshot(job: dict[str, Any]) -> SnapshotRef:
    path = Path(job["folder"]) / "train.parquet"
    table = pq.read_table(path, columns=["event_time", "label"])
    return SnapshotRef(
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        path=str(path),
        as_of=pc.max(table["event_time"]).as_py().isoformat(),
        rows=len(table),
        positives=int(pc.sum(table["label"]).as_py()) if job["task"] == "binary_classification" else 0,
    )


def search(use_case: UseCase, snapshot: SnapshotRef, storage_url: str) -> None:
    """All workers of the search, one process each."""
    workers = [
        multiprocessing.get_context("fork").Process(target=work, args=(use_case, snapshot, worker, storage_url))
        for worker in range(use_case.training.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a search worker failed")


def work(use_case: UseCase, snapshot: SnapshotRef, worker: int, storage_url: str) -> None:
    run_worker(use_case, snapshot, worker, storage_url=storage_url)


def fit(use_case: UseCase, snapshot: SnapshotRef, storage_url: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The sealed bundle, and the facts for the report."""
    champion = ("0", baseline_predictor(use_case))
    best = best_trial(use_case, snapshot, storage_url)
    fitted = fit_bundle(use_case, snapshot, best, champion=champion, folder=folder)
    return fitted.folder, {
        "model": fitted.params["candidate"],
        "trials": int(fitted.params["trials"]),
        "params": fitted.params,
    }


def score(folder: Path, job: dict[str, Any]) -> Any:
    """Scores of the test rows as serving would give them."""
    table = pq.read_table(Path(job["folder"]) / "test.parquet")
    columns = {name: table[name].to_numpy() for name in job["numeric"]}
    columns |= {name: table[name].to_pylist() for name in job["categorical"]}
    predictor: Any = load_predictor(folder)
    if job["task"] == "regression":
        manifest = read_manifest(folder).model_copy(update={"calibration": Calibration()})
        predictor = OnnxPredictor(manifest, (folder / MODEL).read_bytes())
    return predictor.score_columns(columns)


if __name__ == "__main__":
    main()
