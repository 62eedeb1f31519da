"""The time Airflow takes to read the DAG files of ten use cases, without Airflow's own import.

Each round parses in a new process, as the DAG processor does after a change, and is compared with a file that holds one
empty DAG. CPU seconds stand beside wall seconds, because other load on the machine lengthens only the latter.

    make bench NAME=dag_parse ARGS="--use-cases 20"
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.shared.folders import PROJECT
from noria.testing.builders import write_use_case

ROUNDS = 5
EMPTY = "from airflow.sdk import DAG\n\nwith DAG('empty', schedule=None):\n    pass\n"
PARSE = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import get_timetables_plugins
started = time.perf_counter(), time.process_time()
bag = DagBag(sys.argv[1])
print(json.dumps({"wall": time.perf_counter() - started[0], "cpu": time.process_time() - started[1],
    "dags": len(bag.dags), "errors": len(bag.import_errors)}))
"""


def main() -> None:
    """Parse several times, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--use-cases", type=int, default=10)
    number = parser.parse_args().use_cases
    shipped = yaml.safe_load((PROJECT / "use_cases" / "flight_delays" / "use_case.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="noria-dag-parse-") as scratch:
        use_cases = Path(scratch) / "use_cases"
        for index in range(number):
            write_use_case(use_cases, {**shipped, "name": f"case_{index}"})
        empty = Path(scratch) / "empty"
        empty.mkdir()
        (empty / "empty.py").write_text(EMPTY, encoding="utf-8")
        noria = [measure(PROJECT / "dags", use_cases, Path(scratch)) for _ in range(ROUNDS)]
        empty_dag = [measure(empty, use_cases, Path(scratch)) for _ in range(ROUNDS)]
    if any(found["dags"] != 4 * number or found["errors"] for found in noria):
        sys.exit(f"expected {4 * number} DAGs and no error, found {noria[0]}")
    print_median(f"{number} use cases, {4 * number} DAGs", noria)
    print_median("one empty DAG", empty_dag)


def measure(dags: Path, use_cases: Path, home: Path) -> dict[str, float]:
    """Wall and CPU seconds of one parse, with the numbers of DAGs and errors."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "NORIA_HOME": str(home / "noria"),
        "NORIA_USE_CASES": str(use_cases),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags)], env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def print_median(what: str, rounds: list[dict[str, float]]) -> None:
    wall, cpu = (statistics.median(found[clock] for found in rounds) for clock in ("wall", "cpu"))
    print(f"{what:>28}: {wall:6.3f} s wall, {cpu:6.3f} s CPU (median of {len(rounds)})")


if __name__ == "__main__":
    main()
