"""The Open Inference Protocol, step by step; `test_open_inference_clients` lets clients of others speak it."""

import copy
import gzip
import json
import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient

from noria.core.base.clock import SystemClock
from noria.core.lifecycle.rollout import Rollout, RolloutState, RolloutVersion
from noria.core.use_case import RolloutPolicy
from noria.testing.builders import write_use_case
from serving.app import create_app

pytestmark = pytest.mark.slow

TASKS = {"parcels": "binary_classification", "parcel_fates": "multiclass", "parcel_prices": "regression"}
CLASSES = ("on_time", "late", "lost")
LENGTH = "Inference-Header-Content-Length"
FIELDS = [("weight", "FP64"), ("hour", "FP64"), ("depot", "BYTES"), ("parcel_id", "BYTES")]


@pytest.fixture
def trained(use_cases, make_bundle, on_disk):
    """One use case of each task, each with a trained version; gives the bundles by use case."""
    bundles = {}
    for seed, (name, task) in enumerate(TASKS.items(), 1):
        write_use_case(use_cases, name=name, task=task)
        bundles[name] = make_bundle(seed, use_case=name, task=task)
        on_disk(bundles[name], str(seed))
    return bundles


@pytest.fixture
def client(settings):
    """Version 0 of `parcels`: late from 18 hours on."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def tensor(name, datatype, values, **more):
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": values, **more}


def infer(client, *inputs, name="parcels", **more):
    return client.post(f"/v2/models/{name}/infer", json={"inputs": list(inputs), **more})


def outputs(response):
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def refused(response, status, *message):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (name, text), *rest = response.json().items()
    assert (name, rest) == ("error", [])
    for part in message:
        assert part in text
    return text


def test_metadata_describes_inputs_and_outputs(settings, trained):
    with TestClient(create_app(settings)) as client:
        found = client.get("/v2/models/parcel_fates/versions/2").json()
        assert [(column["name"], column["datatype"]) for column in found["inputs"]] == FIELDS
        assert [(column["name"], column["datatype"]) for column in found["outputs"]] == [
            ("score", "FP64"),
            ("decision", "BYTES"),
            *((f"probability_{label}", "FP64") for label in CLASSES),
            ("id", "BYTES"),
            ("version", "BYTES"),
        ]
        decisions = {
            name: next(c["datatype"] for c in client.get(f"/v2/models/{name}").json()["outputs"] if c["name"] == "decision")
            for name in TASKS
        }
        assert decisions == {"parcels": "BOOL", "parcel_fates": "BYTES", "parcel_prices": "FP64"}
        sent = outputs(infer(client, tensor("hour", "FP64", [19.0]), name="parcel_fates"))
        assert [(column["name"], column["datatype"]) for column in found["outputs"]] == [
            (output["name"], output["datatype"]) for output in sent.values()
        ]


def test_infer_baseline_answers(client):
    found = client.get("/v2/models/parcels").json()
    assert (found["name"], found["versions"], found["platform"]) == ("parcels", ["0"], "noria_rule")
    sent = outputs(infer(client, tensor("hour", "INT32", [19, 7]), id="mine"))
    assert (sent["score"]["data"], sent["decision"]["data"]) == ([1.0, 0.0], [True, False])
    assert sent["version"]["data"] == ["0", "0"]
    assert len(set(sent["id"]["data"])) == 2


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("data", [[19, 7], [[19], [7]]])
def test_rows_may_be_flat_or_columns(client, shape, data):
    sent = outputs(infer(client, {"name": "hour", "datatype": "FP32", "shape": shape, "data": data}))
    assert sent["decision"]["data"] == [True, False]
    assert sent["decision"]["shape"] == [2]


def journal(settings):
    paths = sorted((settings.serving_state / "journal").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_infer_missing_values_and_entity_are_read(settings):
    with TestClient(create_app(settings)) as client:
        body = {
            "inputs": [
                tensor("hour", "FP64", [19, 7, 8]),
                tensor("weight", "FP64", [float("nan"), None, 2.5]),
                tensor("depot", "BYTES", ["", None, "north"]),
                tensor("parcel_id", "BYTES", ["P-1", "", None]),
            ]
        }
        outputs(client.post("/v2/models/parcels/infer", content=json.dumps(body)))
        (line,) = journal(settings)
    kept = line["predictions"]
    assert [entry["entity"] for entry in kept] == ["P-1", None, None]
    assert [entry["features"]["weight"] for entry in kept] == [None, None, 2.5]
    assert [entry["features"]["depot"] for entry in kept] == [None, None, "north"]


def packed(*inputs):
    """A body of the extension; an input is (name, datatype, rows, bytes)."""
    described = [
        {"name": name, "datatype": datatype, "shape": [rows], "parameters": {"binary_data_size": len(content)}}
        for name, datatype, rows, content in inputs
    ]
    header = json.dumps({"inputs": described, "parameters": {"binary_data_output": True}}).encode()
    return header + b"".join(content for *_, content in inputs), {LENGTH: str(len(header))}


def texts(*values):
    return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)


@pytest.mark.parametrize("datatype", ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT64", "FP16", "FP32", "FP64"])
def test_every_kind_of_number_comes_as_bytes(client, datatype):
    code = {"INT": "<i", "UINT": "<u", "FP": "<f"}[datatype.rstrip("0123456789")]
    content = np.array([19, 7], dtype=f"{code}{int(datatype.lstrip('UINTFP')) // 8}").tobytes()
    body, headers = packed(("hour", datatype, 2, content), ("depot", "BYTES", 2, texts("north", "Zürich")))
    answer = client.post("/v2/models/parcels/infer", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[LENGTH])
    first, second, *_ = json.loads(answer.content[:length])["outputs"]
    assert (first["name"], first["parameters"], "data" in first) == ("score", {"binary_data_size": 16}, False)
    assert second["parameters"] == {"binary_data_size": 2}
    assert answer.content[length : length + 18] == struct.pack("<dd", 1.0, 0.0) + b"\x01\x00"


def test_a_packed_body_is_read(client):
    body = gzip.compress(json.dumps({"inputs": [tensor("hour", "FP64", [19])]}).encode())
    answer = client.post("/v2/models/parcels/infer", content=body, headers={"content-encoding": "gzip"})
    assert outputs(answer)["decision"]["data"] == [True]


HOUR = tensor("hour", "FP64", [19])


def test_infer_request_id_is_in_every_response(client, settings):
    named = {"x-request-id": "order-17"}
    answers = [client.post("/v2/models/parcels/infer", json={"inputs": inputs}, headers=named) for inputs in ([HOUR], [])]
    assert [(answer.status_code, answer.headers["x-request-id"]) for answer in answers] == [
        (200, "order-17"),
        (400, "order-17"),
    ]
    assert [line["request_id"] for line in journal(settings)] == ["order-17"]


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


def test_infer_challenger_answers_its_share(settings, make_bundle, on_disk):
    on_disk(make_bundle(1), "1")
    now = SystemClock().now()
    with TestClient(create_app(settings)) as client:
        services = client.app.state.services
        champion = services.models.get("parcels")
        rollout = Rollout(
            id="parcels/2/1",
            use_case="parcels",
            champion=RolloutVersion(version="1", digest=champion.digest),
            challenger=RolloutVersion(version="2", digest=champion.digest),
            policy=RolloutPolicy(steps=(50, 100)),
            state=RolloutState.RUNNING,
            reason="roc_auc 0.71",
            actor="ana",
            started_at=now,
            since=now,
            changed_at=now,
            requested_by="ana",
        )
        assert services.rollouts.begin(rollout, replace(champion, version="2"))
        entities = [f"P-{number}" for number in range(60)]
        answer = infer(client, tensor("hour", "FP64", [19.0] * 60), tensor("parcel_id", "BYTES", entities))
        found = outputs(answer)["version"]["data"]
        rows = [{"hour": 19.0, "parcel_id": entity} for entity in entities]
        predictions = client.post("/v1/parcels/predict", json={"instances": rows}).json()["predictions"]
    assert set(found) == {"1", "2"}
    assert found == [row["version"] for row in predictions]
    assert answer.json()["model_version"] == "1"
