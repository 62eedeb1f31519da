"""Noria against FLAML and AutoGluon: the same training and test rows, the same minutes on the same cores.

Every contender is a process of its own and gets the training rows as one Parquet file; its seconds run from its start to a
fitted model, imports, calibration and export included. Noria takes its public path (`noria_runner.py`): a use case, a
snapshot, search workers on a shared study in PostgreSQL, a sealed bundle, and scores as serving would give them.

Peers are installed by uv into .benchmarks/, the first time; AutoGluon takes 6 GB. PostgreSQL is started before the clock.
"Tied" means that the 95 % interval of the paired difference over resampled test rows contains 0.

    make bench NAME=automl ARGS="--minutes 1"
    make bench NAME=automl ARGS="--minutes 3 --only churn,ames"
    make bench NAME=automl ARGS="--csv my.csv --target price --task regression"
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.automl.comparison import METRICS, MetricComparison, compare
from benchmarks.automl.data_sets import (
    BINARY,
    DATA_SETS,
    MULTICLASS,
    REGRESSION,
    DataSet,
    FrozenDataSet,
    freeze,
    from_csv,
)
from benchmarks.automl.environments import AUTOML_CACHE, ENVIRONMENTS
from benchmarks.shared.folders import PROJECT
from benchmarks.shared.servers import temporary_postgres
from noria.local.postgres import PostgresServer

CONTENDERS = ("noria", "flaml", "autogluon")
PEERS = Path(__file__).resolve().with_name("peers")
"""Scripts that run in the environments of peers; they are started by path."""
GRACE = 10
"""A contender that takes so many times its budget is stopped."""


def main() -> None:
    """Run every contender on every data set; print a line for each metric, and the totals at the end."""
    options = arguments()
    print(f"{options.minutes:g} min, {options.cores} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'data set':<16}{'rows':>7} {'metric':<9}" + "".join(f"{name:>32}" for name in options.contenders), flush=True)
    tallies: dict[str, dict[str, int]] = {name: {} for name in options.contenders[1:]}
    with temporary_postgres("automl", durable=False) as (_root, server):
        for data in chosen(options):
            run_data_set(freeze(data, options.seed), options, server, tallies)
    print()
    for name, verdicts in tallies.items():
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        print(f"{options.contenders[0]} against {name}: {counts}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="budget of each contender on each data set")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--reserve",
        type=float,
        default=0.35,
        help="share of the budget that Noria keeps for after the search (100 s at most)",
    )
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(data.name for data in DATA_SETS))
    parser.add_argument("--contenders", type=lambda text: text.split(","), default=list(CONTENDERS))
    parser.add_argument("--csv", type=Path, help="a data set of your own")
    parser.add_argument("--target", help="column of --csv to predict")
    parser.add_argument("--task", choices=[BINARY, MULTICLASS, REGRESSION], help="of --csv")
    parser.add_argument("--positive", help="positive class of a binary classification; the rarer value unless given")
    parser.add_argument("--time", help="column of --csv to hold the latest rows back by; at random unless given")
    parser.add_argument("--drop", type=lambda text: tuple(text.split(",")), default=(), help="columns not to be used")
    found = parser.parse_args()
    if found.csv and not (found.target and found.task):
        parser.error("--csv needs --target and --task")
    return found


def chosen(options: argparse.Namespace) -> Iterator[DataSet]:
    if options.csv:
        yield from_csv(options)
        return
    unknown = set(options.only or ()) - {data.name for data in DATA_SETS}
    if unknown:
        raise SystemExit(f"no data set is called {', '.join(sorted(unknown))}: see --help")
    yield from (data for data in DATA_SETS if not options.only or data.name in options.only)


def run_data_set(
    data: FrozenDataSet, options: argparse.Namespace, server: PostgresServer, tallies: dict[str, dict[str, int]]
) -> None:
    scores: dict[str, Any] = {}
    reports: dict[str, dict[str, Any]] = {}
    for name in options.contenders:
        report = reports[name] = run_contender(name, data, options, server)
        if report:
            scores[name] = np.load(report["scores"])
    labels = test_labels(data)
    for metric in METRICS[data.task]:
        first = options.contenders[0]
        compared = compare(data.task, metric, labels, scores, first=first, seed=options.seed) if first in scores else {}
        cells = "".join(f"{cell(compared.get(name), reports[name], name == first):>32}" for name in options.contenders)
        print(f"{data.name:<16}{data.rows[0]:>7} {metric:<9}{cells}", flush=True)
        for name, verdicts in tallies.items():
            verdict = compared[name].verdict if name in compared else "failed"
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
    write_reports(data, options, reports)


def cell(found: MetricComparison | None, report: dict[str, Any], first: bool) -> str:
    if found is None:
        return "failed"
    interval = f"{found.value:.4g} [{found.low:.4g},{found.high:.4g}]"
    return f"{interval} {'' if first else found.verdict + ' '}{report['seconds']:.0f}s"


def run_contender(name: str, data: FrozenDataSet, options: argparse.Namespace, server: PostgresServer) -> dict[str, Any]:
    """Run one contender; returns its report with the path of its scores. Empty where it failed."""
    folder = AUTOML_CACHE / "runs" / f"{options.minutes:g}min" / data.name / name
    folder.mkdir(parents=True, exist_ok=True)
    database_name = f"{data.name}_{time.time_ns()}".lower().replace("-", "_")
    if name == "noria":
        server.create_database(database_name)
    files = {"scores": str(folder / "scores.npy"), "report": str(folder / "report.json")}
    for file in files.values():
        Path(file).unlink(missing_ok=True)
    job = {
        **data.__dict__,
        **files,
        **{"seconds": 60 * options.minutes, "cores": options.cores, "seed": options.seed, "reserve": options.reserve},
        **{"storage_url": server.url(database_name), "started": time.time()},
    }
    (folder / "job.json").write_text(json.dumps(job))
    with (folder / "log.txt").open("w") as log:
        subprocess.run(
            command_of(name, folder / "job.json", options.cores),
            cwd=folder,  # CatBoost leaves files where it runs
            env=environment_of(options.cores),
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=GRACE * job["seconds"],
            check=False,
        )
    if name == "noria":
        server.drop_database(database_name)
    (folder / "job.json").unlink()  # it has a password
    if not Path(files["report"]).exists():
        print(f"{name} failed on {data.name}: see {folder / 'log.txt'}", flush=True)
        return {}
    return {**json.loads(Path(files["report"]).read_text()), "scores": files["scores"]}


def command_of(name: str, job: Path, cores: int) -> list[str | Path]:
    runner: list[str | Path] = [sys.executable, "-m", "benchmarks.automl.noria_runner"]
    if name != "noria":
        runner = [ENVIRONMENTS.python_of(name), PEERS / f"{name}_runner.py"]
    allowed = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    return ["taskset", "--cpu-list", allowed, *runner, job]


def environment_of(cores: int) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(cores), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **threads, "PYTHONPATH": str(PROJECT)}


def test_labels(data: FrozenDataSet) -> Any:
    label = pd.read_parquet(Path(data.folder) / "test.parquet", columns=["label"])["label"]
    if data.task == MULTICLASS:
        return label.map({name: index for index, name in enumerate(data.classes)}).to_numpy(dtype=np.int64)
    return label.to_numpy(dtype=bool if data.task == BINARY else np.float64)


def write_reports(data: FrozenDataSet, options: argparse.Namespace, reports: dict[str, dict[str, Any]]) -> None:
    """Keep the report of each contender beside its scores."""
    path = AUTOML_CACHE / "runs" / f"{options.minutes:g}min" / data.name / "reports.json"
    path.write_text(json.dumps(reports, indent=1))


if __name__ == "__main__":
    main()
