"""What the log of serving says, and what it keeps to itself."""

import io
import json
import logging

import pytest

from serving.observability import structured_log
from serving.observability.structured_log import RefusalLog, blotted, configure, request_id

KEY = "noria_a1B2c3D4e5F6_" + "s3cret-" * 7
URL = "postgresql://noria:hunter2@db:5432/noria"
VALUE = "Hartmann, Anneliese"


@pytest.fixture
def stream():
    """Takes what is logged; the log is as it was after the test."""
    root, httpx = logging.getLogger(), logging.getLogger("httpx")
    before, levels = root.handlers[:], (root.level, httpx.level)
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(levels[0])
    httpx.setLevel(levels[1])


def fail_with(value):
    """As code that chokes on what a caller sent."""
    try:
        float(value)
    except ValueError as error:
        raise RuntimeError(f"cannot read {value}") from error


def test_json_log_any_message_is_one_object_a_line(stream):
    configure("json", stream)
    logging.getLogger("serving.models.model_source").warning("two\nlines of %s", "München")
    (line,) = stream.getvalue().splitlines()
    content = json.loads(line)
    assert content.pop("time").endswith("+00:00")
    assert content == {"level": "warning", "logger": "serving.models.model_source", "message": "two\nlines of München"}


@pytest.mark.parametrize("kind", ["text", "json"])
def test_every_line_of_a_request_has_its_id(stream, kind):
    configure(kind, stream)
    token = request_id.set("order-4711")
    try:
        logging.getLogger("some.library").warning("odd")
    finally:
        request_id.reset(token)
    logging.getLogger("some.library").warning("even")
    odd, even = stream.getvalue().splitlines()
    assert "order-4711" in odd
    assert "request_id" not in even


def test_a_worker_puts_its_number_into_every_line(stream, monkeypatch):
    monkeypatch.setattr(structured_log, "_worker", "")
    configure("json", stream)
    structured_log.speak_as(3)
    logging.getLogger("some.library").warning("Started")
    assert json.loads(stream.getvalue())["worker"] == "3"


@pytest.mark.parametrize("kind", ["text", "json"])
def test_error_of_a_request_shows_lines_of_code_and_no_values(stream, kind):
    configure(kind, stream)
    for name, extra in (("serving.http.error_handlers", {}), ("any.other", {"request_id": "r-1"})):
        try:
            fail_with(VALUE)
        except RuntimeError:
            logging.getLogger(name).error("failed", exc_info=True, extra=extra)
    text = stream.getvalue()
    assert text.count("builtins.RuntimeError") == text.count("builtins.ValueError") == 2
    assert "fail_with" in text
    assert VALUE not in text


def test_an_error_of_a_background_thread_keeps_its_words(stream):
    configure("json", stream)
    try:
        fail_with("port 5000")
    except RuntimeError:
        logging.getLogger("serving.models.model_source").exception("asking the registry failed")
    assert "RuntimeError: cannot read port 5000" in json.loads(stream.getvalue())["exception"]


@pytest.mark.parametrize("kind", ["text", "json"])
def test_log_keys_and_passwords_are_blotted_out(stream, kind):
    configure(kind, stream)
    log = logging.getLogger("a.library")
    log.warning("sent %s to %s", KEY, URL)
    try:
        raise ConnectionError(f"{URL} refused {KEY}")
    except ConnectionError:
        log.exception("no luck")
    text = stream.getvalue()
    assert "s3cret" not in text
    assert "hunter2" not in text
    assert text.count("noria_a1B2c3D4e5F6_***") == 2
    assert text.count("postgresql://noria:***@db") == 2


def test_names_of_our_own_are_no_keys():
    name = "noria_serving_predictions_set_aside_total of noria_serving_request_seconds"
    assert blotted(name) == name


def refusals(stream):
    return [line for line in stream.getvalue().splitlines() if "serving.refused" in line]


def test_refusal_log_storm_is_few_lines_then_a_count(stream, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(structured_log, "monotonic", lambda: now[0])
    configure("text", stream)
    log = RefusalLog()
    for number in range(500):
        log.tell(422, "invalid-instances", "parcels", ["instances[0].weight"], f"r-{number}")
    assert len(refusals(stream)) == 10
    assert "422 invalid-instances of parcels: instances[0].weight" in refusals(stream)[0]
    assert "r-0" in refusals(stream)[0]
    log.tell(503, "journal-full", "parcels")  # another kind is not drowned
    assert "ERROR serving.refused: 503 journal-full of parcels" in refusals(stream)[-1]
    now[0] += 11
    log.tell(422, "invalid-instances", "parcels", [], "r-501")
    assert "(490 more of this kind were not logged)" in refusals(stream)[-1]
    assert len(refusals(stream)) == 12


def test_refusal_log_a_thousand_fields_is_one_line(stream):
    configure("text", stream)
    RefusalLog().tell(422, "invalid-instances", "parcels", [f"instances[{n}].weight" for n in range(1000)])
    (line,) = refusals(stream)
    assert "instances[4].weight and more" in line
    assert len(line) < 300
