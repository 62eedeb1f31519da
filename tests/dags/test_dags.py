"""The DAGs that a folder of use cases becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from noria.testing.builders import write_use_case

pytestmark = pytest.mark.slow

Parse = Callable[[Path], dict[str, Any]]
KINDS = ("data", "monitor", "score", "train")
HEAVY = {
    "pandas",
    "sklearn",
    "dbt",
    "mlflow",
    "evidently",
    "xgboost",
    "optuna",
    "great_expectations",
    "pyarrow",
    "onnxruntime",
}
JOBS = {
    "noria.jobs.training",
    "noria.jobs.release",
    "noria.release",
    "noria.rollout",
    "noria.reports",
    "noria.data",
    "noria.training",
    "noria.registry",
    "noria.notify",
    "monitoring",
}
ENDED = {"data": "@monthly", "train": "0 6 2 */3 *", "start": "2013-01-01", "end": "2014-01-01"}


def ids(*names: str) -> set[str]:
    return {f"{name}__{kind}" for name in names for kind in KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten use cases: one has ended, one is hourly, one wants approval, one that and a rollout; the others go on daily."""
    root = tmp_path_factory.mktemp("use_cases")
    write_use_case(root, name="ended", schedule=ENDED)
    write_use_case(root, name="hourly", schedule={"data": "@hourly", "train": "0 6 * * 1", "start": "2014-12-31"})
    write_use_case(root, name="asked", approval="manual")
    write_use_case(root, name="stepped", approval="manual", rollout={"steps": [5, 100]})
    for number in range(6):
        write_use_case(root, name=f"daily_{number}")
    (root / "ended" / "README.md").write_text("# Written by hand\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def bag(parse: Parse, folder: Path) -> dict[str, Any]:
    return parse(folder)


def test_ten_use_cases_have_four_dags_each(bag: dict[str, Any]) -> None:
    assert bag["import_errors"] == {}
    assert set(bag["dags"]) == ids("ended", "hourly", "asked", "stepped", *(f"daily_{number}" for number in range(6)))


def test_shipped_use_cases_have_four_dags_each(parse: Parse, project: Path) -> None:
    names = [path.parent.name for path in (project / "use_cases").glob("*/use_case.yaml")]
    assert "flight_delays" in names
    found = parse(project / "use_cases")
    assert found["import_errors"] == {}
    assert set(found["dags"]) == ids(*names)


def test_parsing_imports_no_heavy_library_and_no_job(bag: dict[str, Any]) -> None:
    modules = set(bag["modules"])
    assert "noria.core.use_case" in modules
    assert modules & (HEAVY | JOBS) == set()


def test_parsing_twice_gives_the_same_dag_versions(parse: Parse, folder: Path, bag: dict[str, Any]) -> None:
    versions = {dag_id: dag["version"] for dag_id, dag in bag["dags"].items()}
    assert len(set(versions.values())) == 40
    assert {dag_id: dag["version"] for dag_id, dag in parse(folder)["dags"].items()} == versions


def test_a_broken_use_case_is_an_import_error_of_its_own(parse: Parse, tmp_path: Path) -> None:
    write_use_case(tmp_path, name="whole")
    path = write_use_case(tmp_path, name="broken")
    path.write_text(path.read_text().replace("at_least: 0.6", "atleast: 0.6"), encoding="utf-8")
    found = parse(tmp_path)
    assert set(found["dags"]) == ids("whole")
    assert set(found["import_errors"]) == {"use_cases.py"}
    message = found["import_errors"]["use_cases.py"]
    assert "broken/use_case.yaml: gates[0].atleast" in message
    assert "did you mean at_least?" in message
    assert "whole/use_case.yaml" not in message


def test_a_folder_without_use_cases_says_so(parse: Parse, tmp_path: Path) -> None:
    found = parse(tmp_path)
    assert found["dags"] == {}
    assert "set NORIA_USE_CASES" in found["import_errors"]["use_cases.py"]


def test_house_policy(bag: dict[str, Any]) -> None:
    assert len(bag["dags"]) == 40
    for dag_id, dag in bag["dags"].items():
        name, kind = dag_id.split("__")
        assert dag["tags"] == sorted(["noria", name, kind])
        assert ("Run Parameters ▸ As of" if kind == "train" else "Partition Key") in dag["doc"], "says how to run it by hand"
        assert dag["paused"] is False, "a paused consumer misses the events that wake it"
        assert dag["partitioned"]
        assert dag["periodic"], "must accept backfills"
        assert dag["on_failure"]
        assert dag["tasks"]
        for task_id, task in dag["tasks"].items():
            assert task["owner"] == "logistics@example.com", task_id
            assert task["doc"], task_id
            assert task["retries"] == 2, task_id
    assert bag["dags"]["ended__data"]["doc"].endswith("\n\n# Written by hand\n")


def test_how_pipelines_wake_one_another(bag: dict[str, Any]) -> None:
    dags = {kind: bag["dags"][f"ended__{kind}"] for kind in KINDS}
    outlets = {kind: [uri for task in dag["tasks"].values() for uri in task["outlets"]] for kind, dag in dags.items()}
    assert outlets == {
        "data": ["noria://ended/features"],
        "score": ["noria://ended/predictions"],
        "monitor": ["noria://ended/retrain"],
        "train": ["noria://ended/model"],
    }
    assert {kind: dag["assets"] for kind, dag in dags.items()} == {
        "data": [],
        "score": ["noria://ended/features"],
        "monitor": ["noria://ended/predictions"],
        "train": ["noria://ended/retrain"],
    }


def test_only_a_use_case_that_wants_approval_asks_for_it(bag: dict[str, Any]) -> None:
    assert "approve" not in bag["dags"]["ended__train"]["tasks"]
    tasks = bag["dags"]["asked__train"]["tasks"]
    assert tasks["approve"]["upstream"] == ["check_gates"]
    assert "approve" in tasks["promote"]["upstream"]
    assert "no answer in a week" in tasks["approve"]["doc"]
    assert tasks["approve"]["kind"] == "HumanApproval"


def test_only_a_use_case_that_wants_steps_has_a_rollout(bag: dict[str, Any]) -> None:
    plain, stepped = (bag["dags"][f"{name}__train"]["tasks"] for name in ("asked", "stepped"))
    assert {"start_rollout", "await_rollout"} & plain.keys() == set()
    assert "promote" not in stepped
    assert stepped["start_rollout"]["upstream"] == ["approve", "fit_and_register"]
    assert stepped["await_rollout"]["upstream"] == ["start_rollout"]
    assert stepped["await_rollout"]["outlets"] == ["noria://stepped/model"]
    assert "without a worker" in stepped["await_rollout"]["doc"]


def test_nothing_starts_by_itself_for_a_data_set_that_has_ended(bag: dict[str, Any]) -> None:
    assert {kind: bag["dags"][f"ended__{kind}"]["next"] for kind in KINDS} == dict.fromkeys(KINDS)


def test_time_starts_data_and_training_of_a_data_set_that_goes_on(bag: dict[str, Any]) -> None:
    planned = {kind: bag["dags"][f"daily_0__{kind}"]["next"] for kind in KINDS}
    assert planned["data"]
    assert planned["train"]
    assert planned["score"] is None
    assert planned["monitor"] is None


def test_training_is_planned_for_the_future_only(bag: dict[str, Any]) -> None:
    # Within the hour of grace after a tick, the tick itself is still to be made.
    planned = datetime.fromisoformat(bag["dags"]["daily_0__train"]["next_at"])
    assert (datetime.now(UTC) - planned).total_seconds() < 3600


def test_a_backfill_has_each_interval_of_the_data_set_once(bag: dict[str, Any]) -> None:
    months = [f"2013-{month:02}-01" for month in range(1, 13)]
    for kind in ("data", "score", "monitor"):
        runs = bag["dags"][f"ended__{kind}"]["backfill"]
        assert [key for key, _, _ in runs] == months
        assert runs[0] == ["2013-01-01", "2013-01-01 00:00:00+00:00", "2013-02-01T00:00:00+00:00"]
    assert [key for key, _, _ in bag["dags"]["hourly__score"]["backfill"]] == ["2014-12-31T00:00"]


def test_a_backfill_of_training_looks_up_to_the_last_bound_before_each_planned_run(bag: dict[str, Any]) -> None:
    runs = bag["dags"]["ended__train"]["backfill"]
    assert [key for key, _, _ in runs] == ["2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01"]
    assert runs[0][2] == "2013-04-02T06:00:00+00:00"
