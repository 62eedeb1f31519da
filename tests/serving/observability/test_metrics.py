"""What is counted, by whom, and what becomes of it when a process dies."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from noria.core.use_case import Task
from noria.inference.predictor import baseline_predictor
from noria.io.clock import SystemClock
from noria.testing.builders import a_use_case
from serving.contract.answers import Answers
from serving.journal.journal import Journal
from serving.models.served_model import Origin, ServedModel, ServedModels
from serving.observability.live_state import LiveState
from serving.observability.metrics import Metrics


@pytest.fixture
def rule(tmp_path):
    use_case = a_use_case(tmp_path, name="parcels")
    return ServedModel(use_case, baseline_predictor(use_case), "0", "", datetime(2026, 1, 1, tzinfo=UTC), Origin.RULE)


@pytest.fixture
def metrics():
    return Metrics()


def samples(text):
    """Value by name and labels, labels in order."""
    found = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text.decode(), re.MULTILINE)
    return {(name, labels): float(value) for name, labels, value in found}


def test_answered_counts_by_version_alias_and_status(metrics, rule):
    metrics.answered(rule, 200, 0.003)
    metrics.answered(rule, 200, 0.003)
    metrics.answered(replace(rule, version="7"), 422, 0.001)
    metrics.answered(replace(rule, version="8"), 200, 0.001, "challenger")
    metrics.answered(None, 401, 0.001)
    found = samples(metrics.text())
    requests = {labels: value for (name, labels), value in found.items() if name == "noria_serving_requests_total"}
    assert requests == {
        'alias="rule",status="200",use_case="parcels",version="0"': 2,
        'alias="champion",status="422",use_case="parcels",version="7"': 1,
        'alias="challenger",status="200",use_case="parcels",version="8"': 1,
        'alias="",status="401",use_case="",version=""': 1,
    }
    seconds = "noria_serving_request_seconds"
    labels = 'alias="rule",{}use_case="parcels",version="0"'
    assert found[f"{seconds}_count", labels.format("")] == 2
    assert found[f"{seconds}_bucket", labels.format('le="0.0025",')] == 0
    assert found[f"{seconds}_bucket", labels.format('le="0.005",')] == 2


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (Answers(Task.BINARY_CLASSIFICATION, (0.7,), (True,), 0.4), {"yes": 1}),
        (Answers(Task.BINARY_CLASSIFICATION, (0.1,), (False,), 0.4), {"no": 1}),
        (Answers(Task.BINARY_CLASSIFICATION, (0.1, 0.9, 0.9), (False, True, True), 0.4), {"yes": 2, "no": 1}),
        (Answers(Task.MULTICLASS, (0.5,), ("late",)), {"late": 1}),
        (Answers(Task.MULTICLASS, (0.5,) * 3, ("late", "early", "late")), {"late": 2, "early": 1}),
        (Answers(Task.REGRESSION, (3.5, 100.0), (3.5, 100.0)), {"number": 2}),
        (Answers(Task.REGRESSION, (3.5,), (3.5,)), {"number": 1}),
    ],
)
def test_predictions_are_counted_by_decision_and_numbers_looked_at(metrics, rule, answers, expected):
    metrics.predicted(replace(rule, version="7"), "shadow", answers)
    found = samples(metrics.text())
    counted = {
        re.search(r'decision="(\w+)"', labels)[1]: value
        for (name, labels), value in found.items()
        if name == "noria_serving_predictions_total" and 'alias="shadow"' in labels and value
    }
    assert counted == expected
    numbers = sum(value for (name, _), value in found.items() if name == "noria_serving_predicted_number_count")
    assert numbers == expected.get("number", 0)


@dataclass
class RunningRollouts:
    """Rollouts as the gauges read them, by use case."""

    by_name: dict[str, SimpleNamespace]

    def active(self, use_case):
        return self.by_name.get(use_case)


@pytest.mark.parametrize(("shadow", "share"), [(False, 25), (True, 0)])
def test_live_state_changed_after_it_is_shown_is_read_anew(metrics, rule, tmp_path, shadow, share):
    models, rollouts = ServedModels(), RunningRollouts({})
    journal = Journal(tmp_path, SystemClock(), limit_bytes=2**30)
    metrics.show(LiveState(models, rollouts, journal))
    assert ("noria_serving_rollout_share", 'use_case="parcels",version="8"') not in samples(metrics.text())
    models.put(rule)
    journal.append(b"x" * 4095 + b"\n")
    rollouts.by_name["parcels"] = SimpleNamespace(challenger=replace(rule, version="8"), shadow=shadow, share=25)
    figures = samples(metrics.text())
    assert figures["noria_serving_model_info", 'digest="",origin="rule",use_case="parcels",version="0"'] == 1
    assert figures["noria_serving_journal_segments", ""] == 1
    assert figures["noria_serving_journal_bytes", ""] == 4096
    assert figures["noria_serving_journal_limit_bytes", ""] == 2**30
    assert figures["noria_serving_rollout_share", 'use_case="parcels",version="8"'] == share


SEVERAL = """
import os, signal, sys
from serving.observability.shared_metrics import SharedMetrics
shared = SharedMetrics()
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from serving.observability.metrics import Metrics

class Live(Collector):
    def collect(self):
        yield GaugeMetricFamily("noria_serving_journal_bytes", "Bytes that wait.", 50)

metrics = Metrics()
metrics.show(Live())
shared.forget_parent()

def worker(number, requests, registry_up, end):
    pid = os.fork()
    if pid == 0:
        shared.write_as(number)
        metrics.workers.set(1)
        metrics.registry_up.set(registry_up)
        for _ in range(requests):
            metrics.answered(None, 200, 0.003)
        metrics.unlogged.inc(requests)
        end()
    assert os.waitpid(pid, 0)[0] == pid

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def look():
    shared.write_as(9)
    sys.stdout.write(metrics.text().decode() + "====\\n")
    sys.stdout.flush()
    os._exit(0)

def show():
    pid = os.fork()
    if pid == 0:
        look()
    os.waitpid(pid, 0)

worker(0, 10, 1, killed)
worker(1, 5, 0, killed)
show()
shared.on_exit(1)
show()
worker(1, 7, 1, killed)
show()
shared.remove()
print(os.path.exists(shared.folder))
"""


def test_text_of_any_process_sums_all_and_counters_survive_a_kill(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", SEVERAL], check=True, capture_output=True, env=environment)
    *parts, folder_left = result.stdout.split(b"====\n")
    both, after_exit, again = map(samples, parts)
    requests = ("noria_serving_requests_total", 'alias="",status="200",use_case="",version=""')
    count = ("noria_serving_request_seconds_count", 'alias="",use_case="",version=""')
    assert (both[requests], both[count], both["noria_serving_predictions_unlogged_total", ""]) == (15, 15, 15)
    assert (both["noria_serving_workers", ""], both["noria_serving_registry_up", ""]) == (2, 0)
    # the one that saw no registry is gone, and so is what it saw
    assert (after_exit["noria_serving_workers", ""], after_exit["noria_serving_registry_up", ""]) == (1, 1)
    assert after_exit[requests] == 15
    assert (again["noria_serving_workers", ""], again[requests]) == (2, 22)
    # live gauges come from the process that is asked, once
    assert both["noria_serving_journal_bytes", ""] == 50
    assert not any(name.startswith("process_") for name, _ in both)
    assert folder_left.strip() == b"False"
    assert list(tmp_path.iterdir()) == []


def test_text_single_process_has_its_memory(metrics):
    assert samples(metrics.text())["process_resident_memory_bytes", ""] > 1e6
