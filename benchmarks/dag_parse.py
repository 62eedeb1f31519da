"""How long Airflow takes to read the DAG files for ten use cases, Airflow's own import left out.

    python benchmarks/dag_parse.py [use cases]

Parses in a fresh process each time, as the DAG processor does after a change, and compares with a file that holds one empty
DAG. CPU seconds are told beside wall seconds, because a busy machine stretches only the latter.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
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
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    sys.path.insert(0, str(PROJECT))
    import yaml

    from noria.testing.builders import write_use_case

    shipped = yaml.safe_load((PROJECT / "use_cases" / "flight_delays" / "use_case.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="noria-dag-parse-") as scratch:
        use_cases = Path(scratch) / "use_cases"
        for index in range(number):
            write_use_case(use_cases, {**shipped, "name": f"case_{index}"})
        empty = Path(scratch) / "empty"
        empty.mkdir()
        (empty / "empty.py").write_text(EMPTY, encoding="utf-8")
        ours = [measure(PROJECT / "dags", use_cases, Path(scratch)) for _ in range(ROUNDS)]
        bare = [measure(empty, use_cases, Path(scratch)) for _ in range(ROUNDS)]
    if any(round["dags"] != 4 * number or round["errors"] for round in ours):
        sys.exit(f"expected {4 * number} DAGs and no error, found {ours[0]}")
    tell(f"{number} use cases, {4 * number} DAGs", ours)
    tell("one empty DAG", bare)


def measure(dags: Path, use_cases: Path, home: Path) -> dict[str, float]:
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


def tell(what: str, rounds: list[dict[str, float]]) -> None:
    wall, cpu = (statistics.median(round[clock] for round in rounds) for clock in ("wall", "cpu"))
    print(f"{what:>28}: {wall:6.3f} s wall, {cpu:6.3f} s CPU (median of {len(rounds)})")


if __name__ == "__main__":
    main()
