"""Feedback that was accepted is stored exactly once; what is wrong is named, all of it; nothing personal is kept."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from noria.core.base.errors import InstanceError
from noria.core.use_case import Privacy
from noria.inference.predictor import baseline_predictor
from noria.io.clock import SystemClock
from noria.testing.builders import a_use_case, write_use_case
from serving.app import create_app
from serving.contract.errors import BodyTooLargeError, JournalFullError, MalformedBodyError
from serving.contract.pseudonymiser import Pseudonymiser
from serving.feedback.service import FeedbackLog, FeedbackService
from serving.journal.journal import Journal
from serving.models.served_model import Origin, ServedModel

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KNOWN = "018f0000-0000-7000-8000-000000000001"


class FixedClock:
    def now(self):
        return NOW


def a_model(tmp_path, **changes):
    use_case = a_use_case(tmp_path, **changes)
    pseudonymiser = Pseudonymiser.of(use_case, "a key")
    return ServedModel(use_case, baseline_predictor(use_case), "0", "", NOW, Origin.RULE, pseudonymiser)


def take(model, *items, record=lambda line: None):
    body = json.dumps({"feedback": list(items)}).encode()
    return json.loads(FeedbackService(record, FixedClock()).take(body, model, "desk", "r-1"))


def problems(model, *items):
    with pytest.raises(InstanceError) as caught:
        take(model, *items)
    return {problem.where: (problem.found, problem.expected, problem.suggestion) for problem in caught.value.problems}


def test_accepted_feedback_is_stored_once_with_all_its_fields(tmp_path, table):
    journal = Journal(tmp_path / "feedback", SystemClock())
    log = FeedbackLog(journal, table, pause=0.05)
    sent = [
        {"id": KNOWN.upper(), "label": True},
        {"entity": 7, "event_time": "2026-02-01T10:00:00+02:00", "label": False, "at": "2026-02-28T00:00:00Z"},
    ]
    lines = []
    answer = take(a_model(tmp_path), *sent, record=lines.append)
    assert answer["use_case"] == "parcels"
    assert [one["status"] for one in answer["feedback"]] == ["accepted"] * 2
    for line in lines * 2:  # as after a kill between commit and removal
        log.append(line)
    log.start()
    log.stop()
    with psycopg.connect(table) as connection:
        rows = connection.execute(
            "select id::text, use_case, prediction_id::text, entity, event_time, label, at, received_at, caller, request_id "
            "from ops.feedback order by entity nulls first"
        ).fetchall()
    ids = [one["id"] for one in answer["feedback"]]
    assert rows == [
        (ids[0], "parcels", KNOWN, None, None, "true", NOW, NOW, "desk", "r-1"),
        (
            *(ids[1], "parcels", None, "7", datetime(2026, 2, 1, 8, tzinfo=UTC), "false"),
            *(datetime(2026, 2, 28, tzinfo=UTC), NOW, "desk", "r-1"),
        ),
    ]
    assert journal.backlog().segments == 0
    assert log.state.stored == 2


@pytest.mark.parametrize(
    ("task", "label", "stored"),
    [
        ("binary_classification", False, "false"),
        ("multiclass", "lost", "lost"),
        ("regression", 3, "3.0"),
        ("regression", -0.25, "-0.25"),
    ],
)
def test_labels_are_kept_in_the_words_of_decisions(tmp_path, task, label, stored):
    lines = []
    take(a_model(tmp_path, task=task), {"entity": "P-1", "label": label}, record=lines.append)
    (line,) = lines
    assert json.loads(line)["feedback"][0]["label"] == stored


@pytest.mark.parametrize(
    ("task", "label", "expected"),
    [
        ("binary_classification", 1, ("1", "true where late came true, else false", "")),
        ("binary_classification", None, ("null", "true where late came true, else false", "")),
        ("multiclass", "latte", ('"latte"', "one of on_time, late, lost", "did you mean late?")),
        ("multiclass", True, ("true", "one of on_time, late, lost", "")),
        ("regression", "12.5", ('"12.5"', "a finite number", "send it without quotes: 12.5")),
        ("regression", True, ("true", "a finite number", "")),
        pytest.param("regression", 10**400, ("an integer of 1329 bits", "a finite number", ""), id="a number too large"),
    ],
)
def test_feedback_label_of_another_task_is_refused(tmp_path, task, label, expected):
    assert problems(a_model(tmp_path, task=task), {"entity": "P-1", "label": label}) == {"feedback[0].label": expected}


def test_the_use_case_s_own_word_for_yes_is_recognised(tmp_path):
    label = {"model": "lbl_parcels", "column": "late", "positive": "y", "available_after": "1d"}
    found = problems(a_model(tmp_path, label=label), {"entity": "P-1", "label": "y"})
    assert found["feedback[0].label"][2] == "send true for 'y'"


def test_feedback_several_mistakes_are_all_named_and_nothing_is_kept(tmp_path):
    late = (NOW + timedelta(hours=1)).isoformat()
    lines = []
    body = [
        {"id": "P-1", "label": True},
        {"label": True},
        {"id": KNOWN, "entity": "P-1", "label": True},
        {"id": KNOWN, "event_time": "2026-01-01T00:00:00Z", "label": True},
        {"entity": "", "label": True, "at": "yesterday"},
        {"entity": "P-1", "label": True, "at": late},
        {"entity": "P-1", "label": True, "at": "2026-01-01T00:00:00"},
        {"entity": "P-1", "label": True, "at": "0001-01-01T00:00:00+23:00"},
        {"entity": "P-1", "labl": True},
        {"entity": None, "label": True},
        "P-1",
        {"entity": "P-1", "label": True},
    ]
    with pytest.raises(InstanceError) as caught:
        take(a_model(tmp_path), *body, record=lines.append)
    assert [problem.where for problem in caught.value.problems] == [
        "feedback[0].id",
        "feedback[1]",
        "feedback[2]",
        "feedback[3].event_time",
        "feedback[4].entity",
        "feedback[4].at",
        "feedback[5].at",
        "feedback[6].at",
        "feedback[7].at",
        "feedback[8].labl",
        "feedback[8].label",
        "feedback[9].entity",
        "feedback[10]",
    ]
    suggestions = {problem.where: problem.suggestion for problem in caught.value.problems}
    assert suggestions["feedback[8].labl"] == "did you mean label?"
    assert suggestions["feedback[6].at"] == "add its time zone, such as Z"
    assert lines == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"feedback": []}',
        b'{"feedback": 3}',
        b'{"feedback": [{}], "more": 1}',
        b'["\xff"]',
        b"[" * 99999,
    ],
)
def test_a_body_of_another_shape_is_refused_with_the_right_one(tmp_path, body):
    with pytest.raises(MalformedBodyError, match=r'send \{"feedback": '):
        FeedbackService(lambda line: None, FixedClock()).take(body, a_model(tmp_path), "", "r-1")


def test_a_thousand_items_are_taken_and_no_more(tmp_path):
    model, one = a_model(tmp_path), {"entity": "P-1", "label": True}
    assert len({accepted["id"] for accepted in take(model, *[one] * 1000)["feedback"]}) == 1000
    with pytest.raises(BodyTooLargeError, match="1,001 items of feedback"):
        take(model, *[one] * 1001)


def test_a_personal_entity_is_matched_by_its_pseudonym_and_shown_nowhere(tmp_path):
    model, lines = a_model(tmp_path, privacy={"parcel_id": "pseudonymise"}), []
    take(model, {"entity": "Jane Doe", "label": True}, record=lines.append)
    assert b"Jane" not in lines[0]
    (record,) = json.loads(lines[0])["feedback"]
    assert record["entity"] == model.pseudonymiser.protect({"parcel_id": "Jane Doe"})["parcel_id"]
    (found,) = problems(model, {"entity": "Jane Doe" * 500, "label": True}).values()
    assert "Jane" not in " ".join(found)


def test_an_entity_that_privacy_drops_can_have_no_feedback(tmp_path):
    plain = a_model(tmp_path)
    dropped = plain.use_case.model_copy(update={"privacy": {"parcel_id": Privacy.DROP}})  # the contract refuses it by now
    model = replace(plain, use_case=dropped, pseudonymiser=Pseudonymiser.of(dropped, "a key"))
    (found,) = problems(model, {"entity": "P-1", "label": True}).items()
    assert found[0] == "feedback[0].entity"
    assert "id of the prediction" in found[1][2]
    take(model, {"id": KNOWN, "label": True})


def test_feedback_full_journal_is_refused(tmp_path):
    journal = Journal(tmp_path / "feedback", SystemClock(), limit_bytes=10)
    with pytest.raises(JournalFullError):
        take(a_model(tmp_path), {"entity": "P-1", "label": True}, record=FeedbackLog(journal, "").append)


def test_unreadable_line_is_set_aside_and_others_are_stored(tmp_path, table):
    journal, lines = Journal(tmp_path / "feedback", SystemClock()), []
    take(a_model(tmp_path), {"id": str(uuid.uuid4()), "label": True}, record=lines.append)
    line = json.loads(lines[0])
    both = {**line["feedback"][0], "id": str(uuid.uuid4()), "entity": "P-1"}
    for content in (lines[0], b"not json\n", json.dumps({**line, "feedback": [both]}).encode() + b"\n"):
        journal.append(content)
    log = FeedbackLog(journal, table, pause=0.05)
    log.start()
    log.stop()
    state = log.state
    assert (state.stored, state.set_aside, state.backlog.segments) == (1, 2, 0)


def test_feedback_over_http_joins_its_prediction_without_personal_values(settings, use_cases, table):
    write_use_case(use_cases, name="parcels", privacy={"parcel_id": "pseudonymise", "depot": "pseudonymise"})
    ours = settings.model_copy(update={"warehouse_url": SecretStr(table), "pseudonym_key": SecretStr("a key")})
    instance = {"hour": 19, "depot": "Jane's yard", "parcel_id": "Jane Doe"}
    with TestClient(create_app(ours)) as client:
        predicted = client.post("/v1/parcels/predict", json={"instances": [instance]})
        assert predicted.status_code == 200, predicted.text
        items = [
            {"id": predicted.json()["predictions"][0]["id"], "label": False},
            {"entity": "Jane Doe", "label": True},
        ]
        answer = client.post("/v1/parcels/feedback", json={"feedback": items})
        assert answer.status_code == 202, answer.text
        assert [one["status"] for one in answer.json()["feedback"]] == ["accepted"] * 2
        wrong = client.post("/v1/parcels/feedback", json={"feedback": [{"entity": "Jane Doe", "label": 3}]})
        assert wrong.status_code == 422
        assert wrong.json()["errors"][0]["where"] == "feedback[0].label"
    with psycopg.connect(table) as connection:
        ((entity, features),) = connection.execute("select entity, features::text from ops.predictions").fetchall()
        current = connection.execute(
            "select entity, label, status, statements, conflicts from ops.current_feedback"
        ).fetchall()
    assert current == [(entity, "true", "matched", 2, 1)], "the same `at`: the later statement of the two"
    assert "Jane" not in entity + features
