"""The Open Inference Protocol, step by step; `test_open_inference_clients` lets clients of others speak it."""

import gzip
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient

from noria.core.lifecycle.rollout import Rollout, RolloutState, RolloutVersion
from noria.core.use_case import RolloutPolicy
from noria.io.clock import SystemClock
from serving.app import create_app
from tests.serving.protocols.open_inference import (
    CLASSES,
    HOUR,
    LENGTH,
    TASKS,
    infer,
    journal,
    outputs,
    packed,
    tensor,
    texts,
)

pytestmark = pytest.mark.slow

FIELDS = [("weight", "FP64"), ("hour", "FP64"), ("depot", "BYTES"), ("parcel_id", "BYTES")]


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


def test_infer_request_id_is_in_every_response(client, settings):
    named = {"x-request-id": "order-17"}
    answers = [client.post("/v2/models/parcels/infer", json={"inputs": inputs}, headers=named) for inputs in ([HOUR], [])]
    assert [(answer.status_code, answer.headers["x-request-id"]) for answer in answers] == [
        (200, "order-17"),
        (400, "order-17"),
    ]
    assert [line["request_id"] for line in journal(settings)] == ["order-17"]


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
