"""Both clients: what they send, how patient they are, and what they make of every answer."""

import ast
import json
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from noria.client import Feedback, NoAnswerError, NoriaClient, RefusedError, Retries, UnexpectedAnswerError
from tests.client.conftest import Said

ROW = {"hour": 19}
PROBLEM = {
    "type": "urn:noria:problem:invalid-instances",
    "title": "Fields do not fit the model",
    "status": 422,
    "detail": "1 field wrong.",
    "errors": [{"where": "instances[1].hour", "found": "nothing", "expected": "a value", "suggestion": "add hour"}],
}
BUSY = Said(503, {"type": "urn:noria:problem:x", "title": "Busy", "detail": "later", "status": 503})


def rows(count):
    return [{"hour": hour} for hour in range(count)]


@pytest.mark.slow
def test_a_real_server_is_asked_and_answers(serve, settings, ask):
    server = serve(settings)
    url = f"http://127.0.0.1:{server.port}"
    assert ask(url, "ready") is True
    about = ask(url, "about", "parcels")
    assert (about.use_case, about.task, about.entity, about.version) == (
        "parcels",
        "binary_classification",
        "parcel_id",
        "0",
    )
    assert {field.name: field.kind for field in about.expects} == {
        "weight": "numeric",
        "hour": "numeric",
        "depot": "categorical",
    }
    found = ask(url, "predict", "parcels", [{"hour": 19, "weight": float("nan")}, {"hour": 7, "parcel_id": "P-1"}])
    assert [(one.score, one.decision, one.threshold, one.version) for one in found] == [
        (1.0, True, 0.5, "0"),
        (0.0, False, 0.5, "0"),
    ]
    assert (found.use_case, found.version, len(found), len(found.request_ids)) == ("parcels", "0", 2, 1)
    with pytest.raises(RefusedError, match="did you mean parcels") as caught:
        ask(url, "predict", "parcel", [ROW])
    assert (caught.value.status, caught.value.kind) == (404, "unknown-use-case")
    with pytest.raises(RefusedError) as caught:
        ask(url, "predict", "parcels", [*rows(3), {"wieght": 1}], settings={"batch": 2})
    assert [(error.where, error.suggestion) for error in caught.value.errors] == [
        ("instances[3].hour", "add hour"),
        ("instances[3].wieght", "did you mean weight?"),
    ]


def test_what_is_sent(scripted, ask):
    given = [{"hour": np.int64(19), "weight": np.float32(2.5), "depot": None}, {"hour": float("nan")}]
    ask(scripted.url, "predict", "late/parcels", given, reasons=3, settings={"key": "noria_abc_secret"})
    (heard,) = scripted.heard
    assert (heard.method, heard.path) == ("POST", "/v1/late%2Fparcels/predict?reasons=3")
    assert heard.content == {"instances": [{"hour": 19, "weight": 2.5, "depot": None}, {"hour": None}]}
    assert heard.headers["authorization"] == "Bearer noria_abc_secret"
    assert len(heard.headers["x-request-id"]) == 32


def test_without_a_key_none_is_sent(scripted, ask):
    ask(scripted.url, "predict_entities", "parcels", ["P-1", 7])
    (heard,) = scripted.heard
    assert heard.content == {"entities": ["P-1", 7]}
    assert "authorization" not in heard.headers


def test_feedback_names_a_prediction_or_an_entity(scripted, ask):
    scripted.script = [Said(202, {"use_case": "parcels", "feedback": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})]
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    items = [
        Feedback(True, id="p-1"),
        Feedback("late", entity="P-1", event_time=moment, at=moment),
        {"id": "p-2", "label": False},
    ]
    received = ask(scripted.url, "feedback", "parcels", items)
    assert received.ids == ("a", "b", "c")
    assert scripted.heard[0].content == {
        "feedback": [
            {"label": True, "id": "p-1"},
            {"label": "late", "entity": "P-1", "event_time": "2026-03-01T12:00:00+00:00", "at": "2026-03-01T12:00:00+00:00"},
            {"id": "p-2", "label": False},
        ]
    }


def test_everything_that_an_answer_says_is_typed(scripted, ask):
    one = {
        "id": "p-1",
        "score": 0.5,
        "decision": "late",
        "probabilities": {"late": 0.5, "lost": 0.5},
        "version": "4",
        "warnings": [{"field": "depot", "found": "west", "expected": "north, south"}],
        "reasons": [{"field": "hour", "value": 19.0, "contribution": 0.4, "text": "hour is 19"}],
        "added_later": True,
    }
    scripted.script = [Said(200, {"use_case": "parcels", "version": "3", "predictions": [one]})]
    found = ask(scripted.url, "predict", "parcels", [ROW])
    assert (found.version, found[0].version, found[0].probabilities["late"]) == ("3", "4", 0.5)
    assert (found[0].warnings[0].expected, found[0].reasons[0].text) == ("north, south", "hour is 19")
    assert [prediction.id for prediction in found[:1]] == ["p-1"]


def test_an_answer_that_was_not_logged_says_so(scripted, ask):
    one = {"id": "p", "score": 1, "decision": True, "version": "3"}
    kept = {"use_case": "parcels", "version": "3", "predictions": [one]}
    scripted.script = [Said(200, kept), Said(200, kept, {"X-Noria-Unlogged": "true"})]
    assert not ask(scripted.url, "predict", "parcels", rows(2), settings={"batch": 1}).logged
    assert ask(scripted.url, "predict", "parcels", rows(1)).logged


def test_many_instances_go_in_several_requests_and_come_back_in_order(scripted, ask):
    found = ask(scripted.url, "predict", "parcels", iter(rows(5)), settings={"batch": 2})
    assert [len(heard.content["instances"]) for heard in scripted.heard] == [2, 2, 1]
    assert [prediction.id for prediction in found] == [json.dumps(row) for row in rows(5)]
    assert found.request_ids == tuple(heard.headers["x-request-id"] for heard in scripted.heard)
    assert len(set(found.request_ids)) == 3


def test_what_is_too_large_for_the_use_case_is_sent_in_halves(scripted, ask):
    too_large = Said(413, {"type": "urn:noria:problem:body-too-large", "title": "Too large", "detail": "at most 2"})
    scripted.script = [too_large, too_large]
    found = ask(scripted.url, "predict", "parcels", rows(5))
    assert [len(heard.content["instances"]) for heard in scripted.heard] == [5, 2, 1, 1, 3]
    assert [prediction.id for prediction in found] == [json.dumps(row) for row in rows(5)]


def test_one_instance_that_is_too_large_is_refused(scripted, ask):
    scripted.script = [Said(413, {"title": "Too large", "detail": "no"})]
    with pytest.raises(RefusedError, match="Too large"):
        ask(scripted.url, "predict", "parcels", [ROW])


@pytest.mark.parametrize(
    "said", [BUSY, Said(502, b"<html>"), Said(504), Said(429, {"title": "Too many", "detail": "x"}), Said(0)]
)
def test_what_may_pass_is_tried_again_under_the_same_name(scripted, ask, said):
    scripted.script = [said, said]
    waits = []
    found = ask(scripted.url, "predict", "parcels", [ROW], waits=waits)
    assert len(found) == 1
    assert len(scripted.heard) == 3
    assert len({heard.headers["x-request-id"] for heard in scripted.heard}) == 1
    assert waits == [0.0, 0.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_refusal_that_will_not_pass_is_raised_at_once(scripted, ask, status):
    scripted.script = [Said(status, PROBLEM, {"x-request-id": "server-says"})]
    with pytest.raises(RefusedError) as caught:
        ask(scripted.url, "predict", "parcels", [ROW])
    assert len(scripted.heard) == 1
    error = caught.value
    assert (error.status, error.kind, error.request_id) == (status, "invalid-instances", "server-says")
    assert str(error.errors[0]) == "instances[1].hour: nothing, expected a value (add hour)"
    assert str(error.errors[0]) in str(error)


def test_refusal_is_raised_after_the_last_retry(scripted, ask):
    scripted.script = [BUSY] * 3
    with pytest.raises(RefusedError, match="503 Busy: later"):
        ask(scripted.url, "predict", "parcels", [ROW], settings={"retries": 2, "timeout": 60})
    assert len(scripted.heard) == 3


def test_the_server_says_how_long_to_wait(scripted, ask):
    scripted.script = [
        Said(429, {"title": "Too many", "detail": "x"}, {"retry-after": "7"}),
        Said(503, b"", {"retry-after": "x"}),
    ]
    waits = []
    ask(scripted.url, "predict", "parcels", [ROW], waits=waits)
    assert waits == [7.0, 0.0]


def test_wait_that_is_too_long_is_raised(scripted, ask):
    scripted.script = [Said(429, {"title": "Too many", "detail": "x"}, {"retry-after": "3600"})]
    with pytest.raises(RefusedError) as caught:
        ask(scripted.url, "predict", "parcels", [ROW])
    assert caught.value.retry_after == 3600.0
    assert len(scripted.heard) == 1


def test_nobody_there(ask, scripted):
    url = scripted.url
    scripted.close()
    waits = []
    with pytest.raises(NoAnswerError, match="tried 4 times"):
        ask(url, "predict", "parcels", [ROW], waits=waits)
    assert len(waits) == 3
    assert ask(url, "ready") is False


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_not_asked_for_again(scripted, ask):
    answered = threading.Event()
    scripted.script = [Said(200, {}, after=answered)]
    try:
        with pytest.raises(NoAnswerError, match="tried once"):
            ask(scripted.url, "predict", "parcels", [ROW], settings={"timeout": 1.0})
    finally:
        answered.set()
    assert len(scripted.heard) == 1


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"<html>welcome</html>"),
        Said(200, []),
        Said(200, {"predictions": [{"score": 1}], "version": "1"}),
        Said(200, {"predictions": [], "version": "1"}),
        Said(302, b"", {"location": "http://elsewhere.example.com/"}),
    ],
)
def test_answer_of_another_server_is_an_error(scripted, ask, said):
    scripted.script = [said]
    with pytest.raises(UnexpectedAnswerError):
        ask(scripted.url, "predict", "parcels", [ROW])
    assert len(scripted.heard) == 1


def test_impossible_request_is_an_error_before_it_is_sent(scripted, ask):
    with pytest.raises(ValueError, match="instances is empty"):
        ask(scripted.url, "predict", "parcels", [])
    with pytest.raises(TypeError, match="no value of JSON"):
        ask(scripted.url, "predict", "parcels", [{"hour": object()}])
    with pytest.raises(ValueError, match="is no address"):
        NoriaClient("localhost:8000")
    assert scripted.heard == []


@pytest.mark.parametrize("tried", range(1, 12))
def test_waits_double_up_to_the_longest_and_are_drawn_from_all_of_it(tried):
    retries = Retries(times=20, first=0.5, longest=8.0)
    most = min(8.0, 0.5 * 2 ** (tried - 1))
    assert retries.wait(tried, chance=lambda: 0.0) == 0.0
    assert retries.wait(tried, chance=lambda: 1.0) == most
    assert retries.wait(tried, asked=3.0, chance=lambda: 1.0) == 3.0 + most
    assert 0.0 <= retries.wait(tried) <= most


def test_impatience():
    assert Retries(times=0).wait(1) is None
    with pytest.raises(ValueError, match="nothing below 0"):
        Retries(times=-1)


def test_a_date_to_wait_for():
    from noria.client.retry import retry_after

    now = lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)  # noqa: E731
    assert retry_after({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, now) == 30.0
    assert retry_after({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, now) == 0.0
    assert retry_after({}, now) is None


def test_it_needs_httpx_and_nothing_else_of_noria(project):
    program = (
        "import sys, noria.client; print(*sorted(n for n in sys.modules if n.startswith(('noria', 'pydantic', 'numpy'))))"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "noria.client.sync" in found
    assert [name for name in found if name != "noria" and not name.startswith("noria.client")] == []


def test_the_two_clients_differ_in_waiting_alone(project):
    """They have the same methods."""

    def plain(name):
        text = (project / "noria" / "client" / f"{name}.py").read_text(encoding="utf-8")
        for awaited, waited in (("await ", ""), ("async ", ""), ("AsyncNoria", "Noria"), ("httpx.Async", "httpx.")):
            text = text.replace(awaited, waited)
        text = re.sub(r"asyncio\.run\((.*)\)\n", r"\1\n", text)
        (found,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
        return {
            node.name.strip("_").removeprefix("a"): ast.dump(ast.Module(node.body, []))
            for node in found.body
            if isinstance(node, ast.FunctionDef) and node.name not in ("__init__", "close")
        }

    assert plain("sync") == plain("asynchronous")
