"""Memory and start of serving, with one process and with several: `python benchmarks/serving_memory.py [workers]`.

Memory is the proportional set size: pages that processes share count once in all. It is read after every process has
answered a few hundred requests to a small ONNX model, since a process that has done nothing is smaller than one in use.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.serving_smoke import _free_port, drive, make_state  # noqa: E402

TASK = "binary_classification"


def measure(home: Path, workers: int) -> None:
    port = _free_port()
    environment = {
        "NORIA_HOME": str(home),
        "NORIA_USE_CASES": str(home / "use_cases"),
        "NORIA_MLFLOW_URL": "http://127.0.0.1:9",
        "NORIA_SERVING_PORT": str(port),
        "NORIA_SERVING_WORKERS": str(workers),
    }
    started = time.monotonic()
    command = [sys.executable, "-m", "serving"]
    process = subprocess.Popen(command, env=os.environ | environment, cwd=PROJECT, stderr=subprocess.DEVNULL)
    try:
        seconds = _first_answer(port, started)
        cpu = _cpu(process.pid)
        asyncio.run(drive(port, TASK, 3))
        sizes = [each.memory_full_info().pss / 1e6 for each in _family(process.pid)]
    finally:
        process.terminate()
        process.wait()
    print(
        f"{workers} worker{'s' if workers > 1 else ' '}  {sum(sizes):6.0f} MB in {len(sizes)} processes "
        f"({', '.join(f'{size:.0f}' for size in sizes)}), ready after {seconds:.2f} s ({cpu:.2f} s of CPU)"
    )


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu(pid: int) -> float:
    return sum(each.cpu_times().user + each.cpu_times().system for each in _family(pid))


def _first_answer(port: int, started: float) -> float:
    for _ in range(2000):
        try:
            asyncio.run(drive(port, TASK, 0.001))
        except OSError:
            time.sleep(0.01)
        else:
            return time.monotonic() - started
    raise RuntimeError("serving did not start")


def main() -> None:
    several = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory(prefix="noria-bench-") as folder:
        make_state(Path(folder), TASK)
        for workers in (1, several):
            measure(Path(folder), workers)


if __name__ == "__main__":
    main()
