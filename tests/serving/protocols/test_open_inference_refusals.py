"""Requests of the Open Inference Protocol that are refused: with which status, and what the message names."""

import copy
import json
import random
import struct

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from tests.serving.protocols.open_inference import HOUR, LENGTH, infer, journal, packed, refused, tensor, texts

pytestmark = pytest.mark.slow


def test_infer_unknown_content_encoding_is_400(client):
    answer = client.post("/v2/models/parcels/infer", content=b"x", headers={"content-encoding": "deflate"})
    refused(answer, 400, "expected gzip")


def test_a_key_is_asked_for_and_every_answer_is_counted(settings):
    with TestClient(create_app(settings.model_copy(update={"serving_access": "keys"}))) as client:
        answer = infer(client, HOUR)
        refused(answer, 401, "noria keys create")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert client.post("/invocations", json={"instances": [{"hour": 1}]}).status_code == 401
        counted = [
            line for line in client.get("/metrics").text.splitlines() if line.startswith("noria_serving_requests_total")
        ]
    (line,) = [line for line in counted if 'status="401"' in line]
    assert 'use_case="parcels"' in line
    assert line.endswith(" 2.0")
    assert journal(settings) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "does not begin with JSON"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "inputs"),
        ({"inputs": []}, "an empty list"),
        ({"inputs": "hour"}, "inputs"),
        ({"inputs": [{"name": "hour"}]}, "shape"),
        ({"inputs": [HOUR, HOUR]}, "'hour' is sent twice"),
        ({"inputs": [HOUR | {"datatype": "FP8"}]}, "known: BYTES"),
        ({"inputs": [HOUR | {"shape": [1, 3]}]}, "expected [n] or [n, 1]"),
        ({"inputs": [HOUR | {"shape": [2]}]}, "has 1 values"),
        ({"inputs": [HOUR | {"shape": [0], "data": []}]}, "expected [n] or [n, 1]"),
        ({"inputs": [HOUR | {"data": None}]}, "neither data nor"),
        ({"inputs": [HOUR, tensor("weight", "FP64", [1, 2])]}, "2 rows and inputs[0] has 1"),
        ({"inputs": [HOUR | {"parameters": {"binary_data_size": 8}}]}, "8 bytes are announced and 0 are left"),
        ({"inputs": [HOUR | {"parameters": {"binary_data_size": -1}}]}, "expected a number of bytes"),
        ({"inputs": [HOUR | {"parameters": {"shared_memory_region": "x"}}]}, "shared memory is not offered"),
        ({"inputs": [HOUR], "outputs": [{"name": "scores"}]}, "known: score, decision, id, version"),
        ({"inputs": [HOUR], "outputs": [{"name": "score", "parameters": {"classification": 2}}]}, "classification"),
        ({"inputs": [HOUR], "parameters": {"binary_data_output": 1}}, "expected true or false"),
        ('{"inputs": ' + "[" * 100_000, "nested too deeply"),
        ('{"id": "\\ud800", "inputs": [' + json.dumps(HOUR) + "]}", "expected Unicode text"),
    ],
)
def test_malformed_body_is_400_and_names_the_place(client, body, message):
    content = body if isinstance(body, str) else json.dumps(body)
    refused(client.post("/v2/models/parcels/infer", content=content), 400, message)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([("hour", "FP64", 1, b"1234567")], "no whole number of FP64"),
        ([("hour", "FP64", 2, b"12345678")], "has 1 values"),
        ([("depot", "BYTES", 1, b"\x05\0\0\0ab")], "in the middle of an element"),
        ([("depot", "BYTES", 1, b"\x05\0")], "in the middle of an element"),
        ([("depot", "BYTES", 1, b"\x01\0\0\0\xff")], "not UTF-8"),
    ],
)
def test_infer_bytes_that_are_no_tensor_are_400(client, inputs, message):
    body, headers = packed(*inputs)
    refused(client.post("/v2/models/parcels/infer", content=body, headers=headers), 400, message)


@pytest.mark.parametrize("length", ["0", "-1", "many", "100000", "9" * 100])
def test_infer_wrong_json_length_is_400(client, length):
    body, _ = packed(("hour", "FP64", 1, struct.pack("<d", 1)))
    refused(client.post("/v2/models/parcels/infer", content=body, headers={LENGTH: length}), 400, LENGTH)


def test_infer_bytes_without_an_input_are_400(client):
    body, headers = packed(("hour", "FP64", 1, struct.pack("<d", 1)))
    answer = client.post("/v2/models/parcels/infer", content=body + b"more", headers=headers)
    refused(answer, 400, "4 bytes of the body belong to no input")


def test_every_wrong_field_is_named(client):
    wrong = (tensor("hour", "BYTES", ["19"]), tensor("depot", "FP64", [1.0]), tensor("wieght", "FP64", [1.0]))
    refused(
        infer(client, *wrong),
        422,
        "inputs[0] (hour): BYTES, expected FP16 or",
        "inputs[1] (depot): FP64, expected BYTES",
        "did you mean weight?",
    )
    refused(infer(client, tensor("weight", "FP64", [1.0])), 422, "instances[0].hour: nothing, expected a value")
    refused(infer(client, tensor("hour", "FP64", [19, True])), 422, "instances[1].hour")


def test_infer_missing_resource_is_404(client):
    refused(client.get("/v2/models/parcel"), 404, "did you mean parcels?")
    refused(infer(client, HOUR, name="parcel"), 404, "did you mean parcels?")
    refused(client.get("/v2/models/parcels/versions/3"), 404, "version 0 does")
    refused(client.get("/v2/models/parcels/versions/3/ready"), 404, "version 0 does")
    refused(client.post("/v2/models/parcels/versions/3/infer", json={"inputs": [HOUR]}), 404, "version 0 does")
    refused(client.post("/v2/repository/models/parcels/load"), 404, "is not offered")


def test_a_refused_request_predicts_nothing(client, settings):
    infer(client, HOUR, outputs=[{"name": "scores"}])
    infer(client, tensor("hour", "FP64", [19, 1e300]))
    assert journal(settings) == []


def test_more_rows_than_a_request_may_have_are_refused(client):
    refused(infer(client, tensor("hour", "FP64", [1.0] * 1001)), 413)


JUNK = (None, True, -1, 1e300, float("nan"), "", "\ud800", "\0", [], [[[1]]], {"a": 1}, 10**30, "BYTES", "FP16", [2, 1])


def spoil(draw, value):
    """Puts junk somewhere into a value."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        place = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value[place] = spoil(draw, value[place])
        return value
    return copy.deepcopy(draw.choice(JUNK))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_body_makes_the_server_fail(client, seed):
    draw, seen = random.Random(seed), set()  # noqa: S311 - the same junk every time
    whole, headers = packed(("hour", "FP64", 1, struct.pack("<d", 1)), ("depot", "BYTES", 1, texts("north")))
    length = int(headers[LENGTH])
    for _ in range(150):
        header = json.dumps(spoil(draw, json.loads(whole[:length]))).encode()
        body = bytearray(header + whole[length:])
        for _ in range(draw.randrange(3)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        sent = bytes(body[: draw.choice([len(body), draw.randrange(len(body))])])
        answer = client.post("/v2/models/parcels/infer", content=sent, headers={LENGTH: str(len(header))})
        seen.add(answer.status_code)
    assert {400} <= seen <= {200, 400, 422}
