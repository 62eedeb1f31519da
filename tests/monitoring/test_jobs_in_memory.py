"""Monitoring from scored rows to verdict, mail and retrain request, with every part in memory."""

import numpy as np
import pytest

from monitoring.jobs import decide_retrain, monitor, notify, retraining
from noria.core.base.errors import NoriaError, NotifyError, TransformError
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.jobs import scoring
from noria.testing.builders import a_use_case
from noria.testing.fakes.interruption import Killed
from noria.testing.fakes.services import in_memory_services
from tests.jobs.in_memory.parcels import day, feature_rows, label_rows
from tests.monitoring.conftest import MONITORING, an_assessment


@pytest.fixture
def services(tmp_path):
    return in_memory_services(tmp_path)


@pytest.fixture
def use_case(services):
    return a_use_case(services.settings.use_cases, monitoring=MONITORING)


@pytest.fixture
def scored(services, use_case):
    """A day that the baseline has scored, with every label."""
    hours = np.random.default_rng(1).integers(0, 24, 400).astype(float).tolist()
    services.features.put_features(use_case, feature_rows(hours))
    services.features.put_labels(use_case, label_rows(use_case, [hour >= 18 for hour in hours]))
    scoring.score(services, use_case, day(0))
    return use_case


def judged(services, number: int, verdict: Verdict, version: str = "0") -> None:
    interval = {"start": day(number).start, "end": day(number).end}
    services.verdicts.record(an_assessment(**interval, version=version, verdict=verdict), "", services.clock.now())


def test_monitor_twice_records_one_verdict_and_one_line_of_the_ledger(services, scored):
    first, again = (monitor(services, scored, day(0)) for _ in range(2))
    assert first == again
    assert (first.version, first.report) == ("0", "")
    assert services.verdicts.read(scored, day(0)).assessment.performance.labelled == 400
    (line,) = services.verdicts.ledger(scored, day(0).end, 6)
    assert line.value == line.baseline_value


def test_monitor_before_scoring_is_refused(services, use_case):
    services.features.put_labels(use_case, label_rows(use_case, [True]))
    with pytest.raises(TransformError, match="run its score step first"):
        monitor(services, use_case, day(0))


def test_monitor_after_features_were_rebuilt_is_refused(services, scored):
    services.features.put_features(scored, feature_rows([9.0] * 3))
    with pytest.raises(TransformError, match="were rebuilt since they were scored"):
        monitor(services, scored, day(0))


def test_monitor_killed_before_the_commit_records_nothing_and_the_next_call_does(services, scored):
    services.verdicts.killed_before_commit = True
    with pytest.raises(Killed):
        monitor(services, scored, day(0))
    with pytest.raises(NoriaError, match="there is no verdict"):
        services.verdicts.read(scored, day(0))
    assert monitor(services, scored, day(0)).version == "0"


def test_notify_twice_sends_one_mail(services, scored):
    monitor(services, scored, day(0))
    first, again = (notify(services, scored, day(0)) for _ in range(2))
    assert (first.delivered_now, again.delivered_now) == (True, False)
    assert first.recipients == tuple(MONITORING["email"])
    assert len(services.mailer.sent) == 1


def test_notify_after_another_verdict_sends_again(services, scored):
    monitor(services, scored, day(0))
    notify(services, scored, day(0))
    judged(services, 0, Verdict.DRIFT)
    assert notify(services, scored, day(0)).delivered_now


def test_notify_without_a_server_fails_and_the_next_call_sends(services, scored):
    monitor(services, scored, day(0))
    services.mailer.reachable = False
    with pytest.raises(NotifyError):
        notify(services, scored, day(0))
    services.mailer.reachable = True
    assert notify(services, scored, day(0)).delivered_now


def test_notify_without_a_verdict_is_refused(services, use_case):
    with pytest.raises(NoriaError, match="run its monitor step first"):
        notify(services, use_case, day(0))


@pytest.fixture
def drifting(services, use_case):
    """Two days of drift, and enough labels."""
    services.features.put_labels(use_case, label_rows(use_case, [True] * 200))
    for number in (1, 2):
        judged(services, number, Verdict.DRIFT)
    return use_case


def test_decide_retrain_after_enough_alarms_requests_training_once(services, drifting):
    first, again, other = (decide_retrain(services, drifting, day(2), run) for run in ("run-1", "run-1", "run-2"))
    assert (first.retrain, first.as_of) == (True, day(2).end.isoformat())
    assert again == first
    assert (other.retrain, other.reason.startswith("already requested by run-1")) == (False, True)


def test_decide_retrain_after_one_alarm_waits(services, use_case):
    services.features.put_labels(use_case, label_rows(use_case, [True] * 200))
    judged(services, 1, Verdict.DRIFT)
    assert decide_retrain(services, use_case, day(1), "run-1").reason.startswith("1 of the last 3 verdicts")


def test_decide_retrain_finds_the_later_verdict_that_waited_for_this_one(services, drifting):
    assert decide_retrain(services, drifting, day(1), "run-1").as_of == day(2).end.isoformat()


def test_decide_retrain_killed_before_the_commit_requests_nothing_and_the_next_call_does(services, drifting):
    services.verdicts.killed_before_commit = True
    with pytest.raises(Killed):
        decide_retrain(services, drifting, day(2), "run-1")
    assert retraining(services, drifting).preview(day(2)).retrain
    assert decide_retrain(services, drifting, day(2), "run-2").retrain


def test_decide_retrain_without_new_labels_waits(services, use_case):
    services.features.put_labels(use_case, label_rows(use_case, [True]))
    for number in (1, 2):
        judged(services, number, Verdict.DRIFT)
    assert "new labels" in decide_retrain(services, use_case, day(2), "run-1").reason
