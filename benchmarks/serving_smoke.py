"""One-row requests per second, against a FastAPI hello on the same machine: `python benchmarks/serving_smoke.py [seconds]`.

Every request is validated, scored by a small ONNX model of each task, journalled and answered. The load comes from one other
process over 32 connections, so on two busy cores the figures are low; the ratio to hello is what travels.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))
CONNECTIONS = 32
FEATURES = 20
RULES = {"binary_classification": "f0 >= 1", "multiclass": "'late' if f0 >= 1 else 'on_time'", "regression": "first(f0, 0)"}
"""The rule of each task; the tasks are measured in this order."""
HELLO = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/v1/hello/predict")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""


def make_state(home: Path, task: str) -> None:
    """A use case of a task, named after it, and a trained bundle that a server finds on disk."""
    from noria.core.bundle import Manifest, Provenance, write_bundle
    from noria.core.decision import policy_of
    from noria.core.encoder import Encoder, NumericColumn
    from noria.core.signature import Field, Kind, Signature
    from noria.testing.builders import a_use_case, use_case_fields
    from serving.models.bundle_store import BundleStore, Pointer

    names = [f"f{number}" for number in range(FEATURES)]
    business = {**use_case_fields(task=task)["business"], "baseline": RULES[task]}
    features = {"model": "ftr_bench", "numeric": names}
    use_case = a_use_case(home / "use_cases", name=task, task=task, features=features, segments=[], business=business)
    policy = policy_of(use_case)
    manifest = Manifest(
        use_case=task,
        kind="onnx",
        candidate="linear",
        signature=Signature(fields=tuple(Field(name=name, kind=Kind.NUMERIC) for name in names)),
        task=policy.task,
        threshold=policy.threshold,
        classes=policy.classes,
        payoffs=policy.payoffs,
        encoder=Encoder(columns=tuple(NumericColumn(name=name) for name in names)),
        provenance=Provenance(as_of=datetime(2024, 1, 1, tzinfo=UTC), snapshot="5" * 64, specification="6" * 64, seed=7),
    )
    draft = home / "draft"
    digest = write_bundle(draft, manifest, {"model.onnx": train(task)})
    store = BundleStore(home / "serving")
    place = store.folder(task, digest)
    place.parent.mkdir(parents=True)
    draft.rename(place)
    store.point(task, Pointer("1", digest))


def train(task: str) -> bytes:
    """A small linear model as an ONNX graph."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression, LogisticRegression

    matrix = np.random.default_rng(7).normal(size=(500, FEATURES)).astype(np.float32)
    first = matrix[:, 0]
    if task == "regression":
        model, options = LinearRegression().fit(matrix, first), {}
    else:
        target = first > 0 if task == "binary_classification" else np.digitize(first, [-0.5, 0.5])
        model, options = LogisticRegression().fit(matrix, target), {"zipmap": False}
    return to_onnx(model, matrix[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString()


async def drive(port: int, use_case: str, seconds: float) -> int:
    """Send requests over many connections; returns how many were answered."""
    body = json.dumps({"instances": [{f"f{number}": number / 7 for number in range(FEATURES)}]}).encode()
    head = f"POST /v1/{use_case}/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_one_connection(port, head + body, until) for _ in range(CONNECTIONS))))


async def _one_connection(port: int, request: bytes, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    """A server that listens; gives its process id."""
    process = subprocess.Popen(command, env=os.environ | environment, cwd=PROJECT, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def measure(name: str, pid: int, port: int, use_case: str, seconds: float) -> float:
    """Requests per second of a server, and its CPU per request."""
    asyncio.run(drive(port, use_case, 1))
    before = _cpu(pid)
    count = asyncio.run(drive(port, use_case, seconds))
    cpu = (_cpu(pid) - before) / count * 1e6
    print(f"{name:45s} {count / seconds:8,.0f} requests/s {cpu:8,.0f} CPU µs/request")
    return count / seconds


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory(prefix="noria-bench-") as folder:
        home = Path(folder)
        for task in RULES:
            make_state(home, task)
        port = _free_port()
        with running([sys.executable, "-c", HELLO, str(port)], port, {}) as pid:
            hello = measure("FastAPI hello", pid, port, "hello", seconds)
        port = _free_port()
        environment = {
            "NORIA_HOME": folder,
            "NORIA_USE_CASES": str(home / "use_cases"),
            "NORIA_MLFLOW_URL": "http://127.0.0.1:9",
            "NORIA_SERVING_PORT": str(port),
        }
        with running([sys.executable, "-m", "serving"], port, environment) as pid:
            for task in RULES:
                ours = measure(f"Noria, {task.replace('_', ' ')}", pid, port, task, seconds)
                print(f"{'ratio to hello':45s} {ours / hello:8.2f}")


if __name__ == "__main__":
    main()
