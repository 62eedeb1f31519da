"""Noria's serving against FastAPI answering a constant, MLflow, MLServer, BentoML and LitServe, all with the same model.

The model reads 20 features (14 numbers, 6 categories) and is 300 boosted trees. Noria answers with everything on: each
request is checked against the version's contract, its API key is checked, its predictions are journalled and stored in a
real PostgreSQL, and all of it is counted. FastAPI's constant reads nothing. MLflow, MLServer, BentoML and LitServe get the
model as a scikit-learn pipeline, as most people would deploy it; BentoML and LitServe also as the very ONNX graph that Noria
runs, behind an encoder of dictionary lookups. Peers are installed by uv into .benchmarks/, the first time, with pinned
versions.

One core is the server's; the load, and PostgreSQL, are on another. Before anything is timed, a server's predictions of
2,000 rows, with missing and unseen values, are compared with the model's (1e-5). Rounds alternate: each server is started,
measured and stopped once a round; the table has the medians of all rounds, "cold" among them: seconds from the start of the
process to its first 200 on its readiness page. CPU is that of all processes of the server, memory their PSS; "@1" is over
one connection, all else of single rows over 32, and "rows/s" are rows in requests of 100. Times depend on the machine and on
what else it does; the ratios travel, and those of CPU do so from a busy machine, too.

    make bench NAME=serving
    make bench NAME=serving ARGS="--only noria,constant --seconds 5 --rounds 3"
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from http.client import HTTPException

from benchmarks.serving import model_servers
from benchmarks.serving.deployment import Deployment, deployed
from benchmarks.serving.figures import (
    Figures,
    MissingAuthenticationError,
    PredictionMismatchError,
    measure,
    medians,
    memory_of,
)
from benchmarks.serving.load_generator import RequestFailedError
from benchmarks.serving.model import BenchmarkModel, load_or_train
from benchmarks.serving.model_servers import ModelServer
from benchmarks.serving.targets import targets
from benchmarks.shared.folders import CACHE
from benchmarks.shared.peer_environments import MissingPeerError
from noria.testing.free_ports import free_port
from noria.testing.processes import ProcessEndedError

_LOGS = CACHE / "serving" / "logs"
_FAILURES = (
    *(ProcessEndedError, PredictionMismatchError, MissingAuthenticationError, RequestFailedError),
    *(OSError, HTTPException),
)
_HEAD = ("requests/s", "CPU µs", "p50 ms", "p99 ms", "p50@1 ms", "rows/s", "µs/row", "MB", "cold s")
NAMES = (
    *("noria", "constant", "mlflow", "mlserver"),
    *("bentoml-pipeline", "litserve-pipeline", "bentoml-graph", "litserve-graph"),
)


def main() -> None:
    """Run the rounds, print the table and the targets; the exit code is 1 where one was missed."""
    options = arguments()
    server_core, load_core = _cores()
    os.sched_setaffinity(0, {load_core})  # and so PostgreSQL's
    model = load_or_train()
    with deployed(model) as deployment:
        servers, missing = _present(options.only, model, deployment)
        rounds = _rounds(servers, model, options, server_core, missing)
        four, more = _four_workers(deployment, model, server_core) if "noria" in rounds else (None, 0)
        found = {name: medians(figures) for name, figures in rounds.items()}
        _print_table(found, servers, missing)
        if "noria" not in found:
            return
        met = _print_targets(found, four)
        complete = _print_stored(deployment, found["noria"].answered + more)
    raise SystemExit(0 if met and complete else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=10.0, help="of load over 32 connections, for each server and round")
    parser.add_argument("--rounds", type=int, default=3)
    found = parser.parse_args()
    if unknown := set(found.only or ()) - set(NAMES):
        parser.error(f"no server is called {', '.join(sorted(unknown))}: {', '.join(NAMES)}")
    return found


def _maker(name: str, model: BenchmarkModel, deployment: Deployment) -> Callable[[], ModelServer]:
    makers: Mapping[str, Callable[[], ModelServer]] = {
        "noria": lambda: model_servers.noria(deployment.variables, deployment.key),
        "constant": model_servers.constant,
        "mlflow": lambda: model_servers.mlflow(model),
        "mlserver": lambda: model_servers.mlserver(model),
        "bentoml-pipeline": lambda: model_servers.bentoml(model, "pipeline"),
        "litserve-pipeline": lambda: model_servers.litserve(model, "pipeline"),
        "bentoml-graph": lambda: model_servers.bentoml(model, "graph"),
        "litserve-graph": lambda: model_servers.litserve(model, "graph"),
    }
    return makers[name]


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this needs two cores: one for the server, one for the load")
    return cores[0], cores[-1]


def _present(
    only: list[str] | None, model: BenchmarkModel, deployment: Deployment
) -> tuple[list[ModelServer], dict[str, str]]:
    """The servers that can run, and why others cannot, by name."""
    servers, missing = [], {}
    for name in only or NAMES:
        try:
            servers.append(_maker(name, model, deployment)())
        except MissingPeerError as error:
            missing[name] = str(error)
    return servers, missing


def _rounds(
    servers: list[ModelServer],
    model: BenchmarkModel,
    options: argparse.Namespace,
    core: int,
    missing: dict[str, str],
) -> dict[str, list[Figures]]:
    """The figures of each server; one that fails once is added to `missing`."""
    found: dict[str, list[Figures]] = {}
    for number in range(options.rounds):
        for server in [each for each in servers if each.name not in missing]:
            log = _LOGS / f"{server.name}.log"
            try:
                figures = measure(server, model, port=free_port(), core=core, seconds=options.seconds, log=log)
            except _FAILURES as error:
                missing[server.name] = f"{type(error).__name__}: {error}"
                continue
            found.setdefault(server.name, []).append(figures)
            print(f"round {number + 1}  {_line(server.label, figures)}", flush=True)
    return {name: figures for name, figures in found.items() if name not in missing}


def _four_workers(deployment: Deployment, model: BenchmarkModel, core: int) -> tuple[float, int]:
    noria = model_servers.noria(deployment.variables, deployment.key, workers=4)
    return memory_of(noria, model, port=free_port(), core=core, log=_LOGS / "noria-four.log")


def _print_table(found: dict[str, Figures], servers: list[ModelServer], missing: dict[str, str]) -> None:
    print(f"\n{'median of the rounds':<30}" + "".join(f"{name:>11}" for name in _HEAD))
    for server in servers:
        if server.name in found:
            print(_line(server.label, found[server.name]))
    for name, why in missing.items():
        print(f"{name:<30} missing: {why.strip()}")


def _line(label: str, figures: Figures) -> str:
    parts = (f"{figures.rate:,.0f}", f"{figures.cpu:,.0f}", *(f"{ms:.2f}" for ms in (figures.p50, figures.p99)))
    rows = (f"{figures.rows:,.0f}", f"{figures.row_cpu:,.0f}") if figures.rows else ("-", "-")
    parts += (f"{figures.p50_alone:.2f}", *rows, f"{figures.memory:,.0f}", f"{figures.cold_start:.2f}")
    return f"{label:<30}" + "".join(f"{part:>11}" for part in parts)


def _print_targets(found: dict[str, Figures], four_workers: float | None) -> bool:
    """Returns whether every target that was measured was met."""
    print()
    met = True
    for target in targets(found, four_workers):
        print(target)
        met = met and target.met is not False
    return met


def _print_stored(deployment: Deployment, answered: int) -> bool:
    """Returns whether PostgreSQL has every prediction that was answered, once."""
    stored, different = deployment.stored()
    print(
        f"\npredictions answered by Noria {answered:,}, stored in PostgreSQL {stored:,}, stored twice {stored - different:,}"
    )
    return stored == answered == different


if __name__ == "__main__":
    main()
