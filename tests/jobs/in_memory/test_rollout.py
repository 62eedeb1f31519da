"""Steps of a rollout, with every part in memory."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from noria.core.base.errors import RolloutError
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.rollout import RolloutState
from noria.jobs import rollout
from noria.testing.builders import a_use_case
from noria.testing.fakes.interruption import Killed
from noria.testing.fakes.prediction_store import ServedRow
from tests.jobs.in_memory.parcels import MOMENT
from tests.release.candidates import a_bundle, a_candidate


@pytest.fixture
def use_case(services, tmp_path):
    services.registry.register_baseline("parcels", *a_bundle(tmp_path / "bundles" / "0", None))
    return a_use_case(
        services.settings.use_cases,
        rollout={"steps": [50, 100], "bake": "2m", "idle": "5m", "judge": {"min_rows": 50}},
    )


@pytest.fixture
def request_of(services, use_case, tmp_path):
    first = a_candidate(services.registry, tmp_path, "1")
    services.registry.set_champion("parcels", first.version)
    candidate = a_candidate(services.registry, tmp_path, "2", champion="1")
    return PromotionRequest(candidate, actor="ana", reason="trained as of May", allow_breaking=True)


def traffic(services, use_case, *, rows: int = 400, lost: float = 0.0, labelled: bool = False) -> None:
    """Requests half a minute ago, by turns to each version; of `lost` of its decisions the challenger is wrong."""
    draw, at = np.random.default_rng(1), services.clock.now() - timedelta(seconds=30)
    late = draw.random(rows) < 0.3
    wrong = (draw.random(rows) < lost) & (np.arange(rows) % 2 == 1)
    decisions = [str(bool(decision)).lower() for decision in late != wrong]
    services.served.serve(
        use_case,
        [ServedRow("2" if row % 2 else "1", at, f"P{row}", 0.3, decisions[row], {"depot": "north"}) for row in range(rows)],
    )
    if labelled:
        before = pa.array([at - timedelta(days=2)] * rows, MOMENT)
        columns = {"parcel_id": [f"P{row}" for row in range(rows)], "promised_at": before, "late": late.tolist()}
        services.features.put_labels(use_case, pa.table(columns | {"label_known_at": before}))


def advance(services, use_case, **time):
    services.clock.advance(**time)
    return rollout.advance(services, use_case, actor="a task")


def test_rollout_without_harm_promotes_and_mails_every_step(services, use_case, request_of):
    begun = rollout.start(services, use_case, request_of)
    assert (begun.share, begun.state) == (50, RolloutState.RUNNING)
    assert advance(services, use_case, minutes=2).waiting_for.startswith("more requests: it scored 0 of 50 rows")
    traffic(services, use_case)
    assert advance(services, use_case, seconds=1).share == 100
    services.clock.advance(minutes=2)
    traffic(services, use_case)
    done = advance(services, use_case, seconds=1)
    assert (done.state, done.promoted) == (RolloutState.COMPLETED, True)
    assert advance(services, use_case) == done
    assert services.registry.champion("parcels").version == "2"
    assert [subject.split("]")[0] for subject in services.mailer.subjects] == [
        "[rollout started",
        "[next step",
        "[completed",
    ]


def test_start_twice_is_one_rollout_and_one_mail(services, use_case, request_of):
    first, again = (rollout.start(services, use_case, request_of) for _ in range(2))
    assert first == again
    assert len(services.mailer.sent) == 1


def test_challenger_that_loses_money_is_rolled_back(services, use_case, request_of):
    rollout.start(services, use_case, request_of)
    services.clock.advance(seconds=60)
    traffic(services, use_case, rows=1200, lost=0.6, labelled=True)
    seen = rollout.rollout_status(services, use_case)
    assert (seen.rows, seen.idle) == (600, False)
    ended = advance(services, use_case)
    assert ended.state is RolloutState.ROLLED_BACK
    assert "less per decision than version 1" in ended.reason
    assert services.registry.champion("parcels").version == "1"
    assert services.mailer.subjects[-1].startswith("[rolled back]")


def test_step_without_requests_ends_when_it_is_idle(services, use_case, request_of):
    rollout.start(services, use_case, request_of)
    assert advance(services, use_case, minutes=4).share == 50
    assert advance(services, use_case, minutes=1).share == 100


@pytest.mark.parametrize(("act", "event"), [(rollout.pause, "paused"), (rollout.abort, "aborted")], ids=["pause", "abort"])
def test_change_by_hand_twice_is_one_mail(services, use_case, request_of, act, event):
    rollout.start(services, use_case, request_of)
    for _ in range(2):
        act(services, use_case, actor="ana", reason="odd answers")
    assert [subject.split("]")[0] for subject in services.mailer.subjects] == ["[rollout started", f"[{event}"]


def test_resume_after_an_abort_is_refused(services, use_case, request_of):
    rollout.start(services, use_case, request_of)
    rollout.abort(services, use_case, actor="ana", reason="odd answers")
    with pytest.raises(RolloutError, match="cannot be resumed"):
        rollout.resume(services, use_case, actor="ana", reason="back")


def test_status_without_a_rollout_is_refused(services, use_case):
    with pytest.raises(RolloutError, match="has no rollout"):
        rollout.rollout_status(services, use_case)


def test_mail_that_cannot_be_sent_stops_nothing_and_goes_out_with_the_next_call(services, use_case, request_of, caplog):
    services.mailer.reachable = False
    assert rollout.start(services, use_case, request_of).state is RolloutState.RUNNING
    assert "could not be sent" in caplog.text
    services.mailer.reachable = True
    advance(services, use_case)
    assert len(services.mailer.sent) == 1


def test_start_killed_between_document_and_event_is_completed_by_the_next_call(services, use_case, request_of):
    services.audit.killed_at = {Action.ROLLOUT_STARTED}
    with pytest.raises(Killed):
        rollout.start(services, use_case, request_of)
    assert services.mailer.sent == []
    assert rollout.start(services, use_case, request_of).state is RolloutState.RUNNING
    assert [event.action for event in services.audit.events("parcels")] == [Action.ROLLOUT_STARTED]
    assert len(services.mailer.sent) == 1
