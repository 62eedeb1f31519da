"""Noria's serving against FastAPI answering a constant, MLflow, MLServer, BentoML and LitServe, all with the same model.

The model reads 20 features (14 numbers, 6 categories) and is 300 boosted trees. Noria answers with everything on: each
request is held against the version's contract, its API key is checked, its predictions are journalled and stored in a real
PostgreSQL, and all of it is counted. FastAPI's constant reads nothing. MLflow, MLServer, BentoML and LitServe get the model
as a scikit-learn pipeline, as most people would deploy it; BentoML and LitServe also as the very ONNX graph that Noria runs,
behind an encoder of dictionary lookups. Peers are installed by uv into .benchmarks/, the first time, with pinned versions.

One core is the server's; the load, and PostgreSQL, are on another. Before anything is timed, a contender's predictions of
2,000 rows, with values that are missing or were never seen, are held against the model's (1e-5). Rounds alternate: each
contender is started, measured and stopped once a round; the table has the medians of all rounds, "cold" among them: seconds
from the start of the process to its first 200 on its readiness page. CPU is that of all processes of the server, memory
their PSS; "@1" is over one connection, all else of single rows over 32, and "rows/s" are rows in requests of 100. Times
depend on the machine and on what else it does; the ratios travel, and those of CPU do so from a busy machine, too.

    make bench NAME=serving
    make bench NAME=serving ARGS="--only noria,constant --seconds 5 --rounds 3"
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # before this folder, whose serving.py is another one

from benchmarks.serving_parts import contenders  # noqa: E402
from benchmarks.serving_parts.bars import bars  # noqa: E402
from benchmarks.serving_parts.contenders import Contender  # noqa: E402
from benchmarks.serving_parts.environments import CACHE, MissingPeerError  # noqa: E402
from benchmarks.serving_parts.figures import (  # noqa: E402
    DifferentPredictionsError,
    Figures,
    OpenDoorError,
    measure,
    medians,
    memory_of,
)
from benchmarks.serving_parts.load import RefusedError  # noqa: E402
from benchmarks.serving_parts.model import Model, the_model  # noqa: E402
from benchmarks.serving_parts.processes import StartError  # noqa: E402
from benchmarks.serving_parts.world import World, world  # noqa: E402

_FAILURES = (StartError, DifferentPredictionsError, OpenDoorError, RefusedError, OSError, HTTPException)
_HEAD = ("requests/s", "CPU µs", "p50 ms", "p99 ms", "p50@1 ms", "rows/s", "µs/row", "MB", "cold s")


def main() -> None:
    """Run the rounds, print the table and whether the promises were kept; the exit code is 1 where one was not."""
    options = arguments()
    server_core, load_core = _cores()
    os.sched_setaffinity(0, {load_core})  # and so PostgreSQL's
    model = the_model()
    with world(model) as place:
        chosen, missing = _present(options.only, model, place)
        rounds = _rounds(chosen, model, options, server_core, missing)
        four, more = _four_workers(place, model, server_core) if "noria" in rounds else (None, 0)
        found = {name: medians(figures) for name, figures in rounds.items()}
        _print_table(found, chosen, missing)
        if "noria" not in found:
            return
        kept = _print_bars(found, four)
        whole = _print_log(place, found["noria"].answered + more)
    raise SystemExit(0 if kept and whole else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(NAMES))
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of load over 32 connections, for each contender and round"
    )
    parser.add_argument("--rounds", type=int, default=3)
    found = parser.parse_args()
    if unknown := set(found.only or ()) - set(NAMES):
        parser.error(f"no contender is called {', '.join(sorted(unknown))}: {', '.join(NAMES)}")
    return found


def _maker(name: str, model: Model, place: World) -> Callable[[], Contender]:
    kinds: Mapping[str, Callable[[], Contender]] = {
        "noria": lambda: contenders.noria(place.variables, place.key),
        "constant": contenders.constant,
        "mlflow": lambda: contenders.mlflow(model),
        "mlserver": lambda: contenders.mlserver(model),
        "bentoml-pipeline": lambda: contenders.bentoml(model, "pipeline"),
        "litserve-pipeline": lambda: contenders.litserve(model, "pipeline"),
        "bentoml-graph": lambda: contenders.bentoml(model, "graph"),
        "litserve-graph": lambda: contenders.litserve(model, "graph"),
    }
    return kinds[name]


NAMES = (
    *("noria", "constant", "mlflow", "mlserver"),
    *("bentoml-pipeline", "litserve-pipeline", "bentoml-graph", "litserve-graph"),
)


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this needs two cores: one for the server, one for the load")
    return cores[0], cores[-1]


def _present(only: list[str] | None, model: Model, place: World) -> tuple[list[Contender], dict[str, str]]:
    """Who takes part, and why others do not."""
    chosen, missing = [], {}
    for name in only or NAMES:
        try:
            chosen.append(_maker(name, model, place)())
        except MissingPeerError as error:
            missing[name] = str(error)
    return chosen, missing


def _rounds(
    chosen: list[Contender], model: Model, options: argparse.Namespace, core: int, missing: dict[str, str]
) -> dict[str, list[Figures]]:
    """The figures of each contender; whoever fails once is missing, and said to be."""
    from benchmarks.fault_parts.world import free_port

    found: dict[str, list[Figures]] = {}
    for number in range(options.rounds):
        for contender in [each for each in chosen if each.name not in missing]:
            log = CACHE / "logs" / f"{contender.name}.log"
            try:
                figures = measure(contender, model, port=free_port(), core=core, seconds=options.seconds, log=log)
            except _FAILURES as error:
                missing[contender.name] = f"{type(error).__name__}: {error}"
                continue
            found.setdefault(contender.name, []).append(figures)
            print(f"round {number + 1}  {_line(contender.label, figures)}", flush=True)
    return {name: figures for name, figures in found.items() if name not in missing}


def _four_workers(place: World, model: Model, core: int) -> tuple[float, int]:
    from benchmarks.fault_parts.world import free_port

    ours = contenders.noria(place.variables, place.key, workers=4)
    return memory_of(ours, model, port=free_port(), core=core, log=CACHE / "logs" / "noria-four.log")


def _print_table(found: dict[str, Figures], chosen: list[Contender], missing: dict[str, str]) -> None:
    print(f"\n{'median of the rounds':<30}" + "".join(f"{name:>11}" for name in _HEAD))
    for contender in chosen:
        if contender.name in found:
            print(_line(contender.label, found[contender.name]))
    for name, why in missing.items():
        print(f"{name:<30} missing: {why.strip()}")


def _line(label: str, figures: Figures) -> str:
    parts = (f"{figures.rate:,.0f}", f"{figures.cpu:,.0f}", *(f"{ms:.2f}" for ms in (figures.p50, figures.p99)))
    rows = (f"{figures.rows:,.0f}", f"{figures.row_cpu:,.0f}") if figures.rows else ("-", "-")
    parts += (f"{figures.p50_alone:.2f}", *rows, f"{figures.memory:,.0f}", f"{figures.cold_start:.2f}")
    return f"{label:<30}" + "".join(f"{part:>11}" for part in parts)


def _print_bars(found: dict[str, Figures], four_workers: float | None) -> bool:
    """Returns whether every promise that was measured was kept."""
    print()
    kept = True
    for bar in bars(found, four_workers):
        print(bar)
        kept = kept and bar.kept is not False
    return kept


def _print_log(place: World, answered: int) -> bool:
    """Returns whether PostgreSQL has every prediction that was answered, once."""
    stored, different = place.stored()
    print(
        f"\npredictions answered by Noria {answered:,}, stored in PostgreSQL {stored:,}, stored twice {stored - different:,}"
    )
    return stored == answered == different


if __name__ == "__main__":
    main()
