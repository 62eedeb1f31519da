"""Challengers begin, grow and are rolled back: in this process, in others, after a restart, and in the registry."""

import json
from dataclasses import replace

import numpy as np
import pytest

from noria.core.lifecycle.rollout import GUARD_TAG, ROLLOUT_TAG, GuardReport, Rollout, RolloutState, RolloutVersion, assign
from noria.core.use_case import RolloutPolicy
from noria.io.clock import SystemClock
from serving.http.app_services import assemble
from serving.models.rollouts import ActiveRollouts
from serving.observability.metrics import Metrics
from tests.serving import fake_mlflow

pytestmark = pytest.mark.slow


@pytest.fixture
def mlflow():
    with fake_mlflow.running() as fake:
        yield fake


@pytest.fixture
def start(settings, mlflow):
    """Starts the services of one more process on the same folder; nothing runs in the background."""
    made = []

    def start(url=None):
        services = assemble(settings.model_copy(update={"mlflow_url": url or mlflow.url}), SystemClock())
        made.append(services)
        services.source.restore()
        services.source.refresh()
        return services

    yield start
    for services in made:
        services.source.stop()


@pytest.fixture
def versions(mlflow, make_bundle, name):
    """A champion and a version that may challenge it."""
    found = [mlflow.register(name, str(seed), make_bundle(seed, use_case=name)) for seed in (1, 2)]
    mlflow.champions[name] = "1"
    return found


@pytest.fixture
def rollout(name, versions):
    now = SystemClock().now()
    return Rollout(
        id=f"{name}/2/1",
        use_case=name,
        champion=versions[0],
        challenger=versions[1],
        policy=RolloutPolicy(steps=(30, 100)),
        state=RolloutState.RUNNING,
        reason="roc_auc 0.71",
        actor="ana",
        started_at=now,
        since=now,
        changed_at=now,
        requested_by="ana",
    )


def stepped(rollout, **changes):
    return rollout.model_copy(update={"revision": rollout.revision + 1, **changes})


def test_no_rollout_has_no_challenger(start, versions, name):
    services = start()
    assert services.rollouts.active(name) is None
    assert services.rollouts.active("unknown") is None
    assert (list(services.rollouts), services.rollouts.rolled_back) == ([], {})


def test_a_challenger_is_loaded_beside_the_champion_and_takes_its_share(start, mlflow, rollout, name):
    services = start()
    mlflow.roll_out(rollout)
    services.source.refresh()
    active = services.rollouts.active(name)
    assert (active.challenger.version, active.shadow, services.models.get(name).version) == ("2", False, "1")
    keys = [f"parcel-{number}" for number in range(500)]
    assert [active.takes(key) for key in keys] == [assign(key, rollout.id, 30) for key in keys]
    mlflow.roll_out(stepped(rollout, step=1))
    services.source.refresh()
    assert all(services.rollouts.active(name).takes(key) for key in keys)
    assert services.rollouts.active(name).challenger.predictor is active.challenger.predictor  # not loaded again
    assert services.rollouts.active(name).guard is active.guard  # it goes on counting


def test_challenger_beside_the_baseline_scores(start, mlflow, rollout, name):
    mlflow.champions.clear()
    mlflow.roll_out(rollout.model_copy(update={"champion": RolloutVersion(version="0", digest="0" * 64)}))
    services = start()
    assert (services.models.get(name).version, services.rollouts.active(name).challenger.version) == ("0", "2")


def test_shadow_answers_no_request(start, mlflow, rollout, name):
    mlflow.roll_out(rollout.model_copy(update={"shadow": True}))
    active = start().rollouts.active(name)
    assert active.shadow
    assert not any(active.takes(f"parcel-{number}") for number in range(100))


@pytest.mark.parametrize("state", [RolloutState.ABORTED, RolloutState.ROLLED_BACK, RolloutState.COMPLETED])
def test_rollout_that_is_over_ends_in_this_process(start, mlflow, rollout, name, state):
    mlflow.roll_out(rollout)
    services = start()
    assert services.rollouts.active(name)
    mlflow.roll_out(stepped(rollout, state=state))
    services.source.refresh()
    assert services.rollouts.active(name) is None


def test_challenger_beside_another_champion_does_not_score(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    services = start()
    mlflow.champions[name] = "2"
    services.source.refresh()
    assert services.models.get(name).version == "2"
    assert services.rollouts.active(name) is None


def test_registry_down_leaves_the_rollout_as_it_is(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    services = start()
    mlflow.is_down = True
    services.source.refresh()
    assert services.rollouts.active(name)
    assert start().rollouts.active(name) is None  # a restart without it has the champion alone


def test_one_invalid_answer_rolls_back_in_every_process(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    here, beside = start(), start()
    here.rollouts.active(name).observe(True, 1, 0.001, True, invalid="no score")
    assert here.rollouts.active(name) is None
    assert beside.rollouts.active(name)
    beside.rollouts.look()
    assert beside.rollouts.active(name) is None
    assert here.rollouts.rolled_back == beside.rollouts.rolled_back == {name: "it gave no score"}
    assert start().rollouts.active(name) is None  # a restart
    assert f'noria_serving_rollout_taken_back_total{{use_case="{name}"}} 1.0' in here.metrics.text().decode()
    report = mlflow.reported(name)
    assert report is not None  # reported by the restart
    assert (report.rollout, report.reason) == (rollout.id, "it gave no score")


def test_rolled_back_challenger_stays_away_until_another_rollout(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    services = start()
    services.rollouts.roll_back(rollout, "it gave no score")
    mlflow.roll_out(stepped(rollout, step=1))
    services.source.refresh()
    assert services.rollouts.active(name) is None
    mlflow.roll_out(stepped(rollout, id=f"{name}/2/2"))
    services.source.refresh()
    assert services.rollouts.active(name)
    assert services.rollouts.rolled_back == {}


def test_the_report_is_given_as_soon_as_the_registry_answers_again(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    services = start()
    mlflow.is_down = True
    services.rollouts.roll_back(rollout, "it gave no score")
    services.source.refresh()
    assert mlflow.reported(name) is None
    mlflow.is_down = False
    services.source.refresh()
    assert mlflow.reported(name).reason == "it gave no score"
    assert str(mlflow.reported(name).by)


def test_report_of_another_machine_rolls_back_here(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    services = start()
    report = GuardReport(rollout=rollout.id, reason="12 of 100 requests failed", at=SystemClock().now(), by="other")
    mlflow.tags[name][GUARD_TAG] = report.model_dump_json()
    services.source.refresh()
    assert services.rollouts.active(name) is None
    assert services.rollouts.rolled_back == {name: "12 of 100 requests failed"}
    mlflow.roll_out(stepped(rollout, state=RolloutState.ROLLED_BACK))
    services.source.refresh()
    assert services.rollouts.rolled_back == {}


@pytest.mark.parametrize("damage", ["golden", "digest", "altered"])
def test_challenger_that_cannot_be_loaded_is_rolled_back(start, mlflow, rollout, make_bundle, name, damage):
    bad = make_bundle(3, use_case=name, **({"golden_score": 0.123} if damage == "golden" else {}))
    if damage == "altered":
        (bad.folder / "model.onnx").write_bytes(b"altered")
    challenger = mlflow.register(name, "3", bad)
    if damage == "digest":
        challenger = RolloutVersion(version="3", digest="0" * 64)
    mlflow.roll_out(rollout.model_copy(update={"challenger": challenger}))
    services = start()
    assert services.rollouts.active(name) is None
    assert mlflow.reported(name).reason.startswith("version 3 cannot be loaded: ")
    assert (services.models.get(name).version, services.source.refused, services.source.trouble) == ("1", {}, "")


def test_a_document_that_cannot_be_read_leaves_the_champion_alone(start, mlflow, versions, name):
    mlflow.tags[name][ROLLOUT_TAG] = '{"id": 7}'
    services = start()
    assert (services.models.get(name).version, services.rollouts.active(name), services.source.trouble) == ("1", None, "")


def test_fault_names_invalid_scores(start, mlflow, rollout, name):
    mlflow.roll_out(rollout)
    active = start().rollouts.active(name)
    assert active.fault(np.array([0.1, 0.9]), 2) == ""
    assert active.fault(np.array([0.1, np.nan]), 2) == "the score nan"
    assert active.fault(np.array([1.5]), 1) == "the score 1.5"
    assert active.fault(np.array([[0.1, 0.9]]), 1) == "scores of shape (1, 2), expected (1,)"


def test_a_full_disk_does_not_keep_a_challenger(tmp_path, rollout, start, mlflow, name):
    mlflow.roll_out(rollout)
    challenger = start().rollouts.active(name).challenger
    (tmp_path / "file").write_text("where a folder should be")
    rollouts = ActiveRollouts(tmp_path / "file" / "rollouts", SystemClock(), Metrics())
    assert rollouts.begin(rollout, challenger)
    rollouts.active(name).observe(True, 1, 0.001, True, invalid="no score")
    assert rollouts.active(name) is None
    assert not rollouts.begin(rollout, challenger)


def test_guard_report_file_is_complete_or_absent(tmp_path, rollout, start, mlflow, name):
    mlflow.roll_out(rollout)
    challenger = start().rollouts.active(name).challenger
    folder = tmp_path / "rollouts"
    folder.mkdir()
    (folder / f"{name}.json").write_text('{"rollout": "')  # torn by another hand
    rollouts = ActiveRollouts(folder, SystemClock(), Metrics())
    assert rollouts.begin(rollout, replace(challenger))
    rollouts.roll_back(rollout, "it gave no score")
    assert json.loads((folder / f"{name}.json").read_text())["rollout"] == rollout.id
    assert [path.name for path in folder.iterdir()] == [f"{name}.json"]
