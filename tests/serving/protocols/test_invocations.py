"""MLflow's scoring protocol: its own clients are answered as `mlflow models serve` would have answered them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from noria.io.bundle_files import read_manifest
from noria.registry.flavours import write_flavours
from noria.testing.builders import write_use_case
from serving.app import create_app
from tests.serving.bundles import INSTANCE

TASKS = ("binary_classification", "multiclass", "regression")
# mlflow.pyfunc warns about its own type hints when it is imported
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
FRAME = pd.DataFrame(
    {
        "weight": [3.5, None, 60.5],
        "hour": [19.0, 3.0, 23.0],
        "depot": ["north", None, "west"],
        "street": ["a", "b", "c"],
    }
)
RECORDS = [INSTANCE, {"hour": 3.0}, {"hour": 23.0, "depot": "west", "street": 7, "weight": 60.5}]
SPLIT = {"columns": ["hour", "weight", "depot"], "data": [[19.0, 3.5, "north"], [3.0, None, None], [23.0, 60.5, "west"]]}
COLUMNS = {"hour": [19.0, 3.0, 23.0], "weight": [3.5, None, 60.5], "depot": ["north", None, "west"]}


def as_mlflow_model(bundle, folder: Path):
    """A bundle as the registry lays it out, loaded by MLflow."""
    import mlflow.pyfunc

    shutil.copytree(bundle.folder, folder)
    write_flavours(read_manifest(folder, bundle.digest), bundle.digest, "", folder)
    return mlflow.pyfunc.load_model(str(folder))


def refused(response, status, code, *message):
    assert response.status_code == status, response.text
    assert response.json().keys() == {"error_code", "message"}
    assert response.json()["error_code"] == code
    for part in message:
        assert part in response.json()["message"]


@pytest.mark.slow
def test_mlflows_client_gets_an_answer_from_a_server(serve, settings, make_bundle, on_disk, tmp_path):
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    bundle = make_bundle(1)
    on_disk(bundle, "4")
    server = serve(settings)
    client = ScoringServerClient("127.0.0.1", server.port)
    client.ping()
    assert client.get_version() == "noria/1 parcels/4"
    answered = client.invoke(FRAME, params={"temperature": 1}).get_predictions()
    wanted = as_mlflow_model(bundle, tmp_path / "model").predict(FRAME)
    pd.testing.assert_frame_equal(answered, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_every_form_is_answered_as_mlflow_answers_it(settings, use_cases, make_bundle, on_disk, tmp_path, task):
    from mlflow.models import convert_input_example_to_serving_input
    from mlflow.pyfunc.scoring_server import invocations

    write_use_case(use_cases, name="parcels", task=task)
    bundle = make_bundle(2, task=task)
    on_disk(bundle, "1")
    model = as_mlflow_model(bundle, tmp_path / "model")
    bodies = [
        ("application/json", convert_input_example_to_serving_input(FRAME)),
        ("application/json", convert_input_example_to_serving_input(pd.DataFrame([INSTANCE]).astype({"hour": float}))),
        ("application/json; charset=utf-8", json.dumps({"dataframe_records": RECORDS})),
        ("application/json", json.dumps({"dataframe_split": SPLIT | {"index": [7, 8, 9]}, "params": {}})),
        ("application/json", json.dumps({"instances": [{name: row.get(name) for name in COLUMNS} for row in RECORDS]})),
        ("application/json", json.dumps({"inputs": COLUMNS})),
        ("text/csv", FRAME.to_csv(index=False)),
        ("text/csv", FRAME.to_csv()),
    ]
    with TestClient(create_app(settings)) as client:
        for kind, body in bodies:
            answered = client.post("/invocations", content=body, headers={"content-type": kind})
            assert answered.status_code == 200, answered.text
            wanted = json.loads(invocations(body, kind, model, model.metadata.get_input_schema()).response)
            found = answered.json()
            assert [list(row) for row in found["predictions"]] == [list(row) for row in wanted["predictions"]]
            pd.testing.assert_frame_equal(
                pd.DataFrame(found["predictions"]), pd.DataFrame(wanted["predictions"]), rtol=1e-6, atol=1e-6
            )


def test_the_entity_is_logged_and_nan_is_a_missing_value(client, settings):
    body = '{"dataframe_records": [{"hour": 19, "weight": NaN, "parcel_id": "P-1"}]}'
    assert client.post("/invocations", content=body).json() == {"predictions": [{"score": 1.0, "decision": True}]}
    (path,) = (settings.serving_state / "journal").glob("*.jsonl")
    (kept,) = json.loads(path.read_text())["predictions"]
    assert (kept["entity"], kept["features"]["weight"]) == ("P-1", None)


def test_a_cell_of_csv_is_missing_where_it_is_empty(client, settings):
    body = "﻿parcel_id,hour,weight,depot\r\nP-1,19,NA,NA\r\nP-2,1e0,,\r\n\r\n"
    answer = client.post("/invocations", content=body.encode(), headers={"content-type": "text/csv"})
    assert [row["decision"] for row in answer.json()["predictions"]] == [True, False]
    (path,) = (settings.serving_state / "journal").glob("*.jsonl")
    kept = json.loads(path.read_text())["predictions"]
    assert [row["features"]["depot"] for row in kept] == ["NA", None]
    assert [row["features"]["weight"] for row in kept] == [None, None]


ROW = {"hour": 19}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "not JSON"),
        ([], "the body is no object"),
        ({}, "the body has no rows"),
        ({"instances": [ROW], "inputs": {"hour": [1]}}, "exactly one of"),
        ({"instances": [ROW], "signature_name": "x"}, "'signature_name' is not a field"),
        ({"instances": []}, "at least one"),
        ({"instances": [[19]]}, "instances[0] is no object; name the column"),
        ({"dataframe_records": ROW}, "dataframe_records is no list"),
        ({"dataframe_split": [ROW]}, "dataframe_split must be"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "dataframe_split must be"),
        ({"dataframe_split": {"columns": ["hour"], "data": 1}}, "dataframe_split.data is no list"),
        ({"dataframe_split": {"columns": ["hour"], "data": [[1], [1, 2]]}}, "dataframe_split.data[1] is no list of 1"),
        ({"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 2]]}}, "'hour' is there twice"),
        ({"inputs": {"hour": [1], "weight": [1, 2]}}, "all of them equally long"),
        ({"inputs": {"hour": 1}}, "one list for each column"),
        ({"inputs": 1}, "inputs is no list"),
    ],
)
def test_malformed_body_is_400_and_names_the_place(client, body, message):
    content = body if isinstance(body, str) else json.dumps(body)
    refused(client.post("/invocations", content=content), 400, "BAD_REQUEST", message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "no CSV in UTF-8"),
        (b"hour,hour\n1,2\n", "'hour' is there twice"),
        (b"hour\n", "at least one"),
        (b"", "at least one"),
        (b"hour,weight\n1\n", "row 1 of the CSV has 1 cells, its header has 2"),
        (b'hour\n"1', "no CSV in UTF-8"),
    ],
)
def test_malformed_csv_is_400_and_names_the_place(client, body, message):
    refused(client.post("/invocations", content=body, headers={"content-type": "text/csv"}), 400, "BAD_REQUEST", message)


@pytest.mark.parametrize("cell", ["late", "1_000", "inf"])
def test_csv_cell_that_is_no_number_is_422(client, cell):
    answer = client.post("/invocations", content=f"hour\n3\n{cell}\n", headers={"content-type": "text/csv"})
    refused(answer, 422, "BAD_REQUEST", "instances[1].hour")


def test_other_content_type_is_400(client):
    answer = client.post("/invocations", content=b"PAR1", headers={"content-type": "application/vnd.apache.parquet"})
    refused(answer, 400, "BAD_REQUEST", "expected application/json or text/csv")


def test_of_several_use_cases_one_must_be_chosen(settings, use_cases):
    write_use_case(use_cases, name="letters")
    body = {"instances": [ROW]}
    with TestClient(create_app(settings)) as client:
        refused(
            client.post("/invocations", json=body), 404, "RESOURCE_DOES_NOT_EXIST", "letters, parcels", "NORIA_SERVING_ONLY"
        )
        refused(client.get("/version"), 404, "RESOURCE_DOES_NOT_EXIST")
        assert client.get("/ping").status_code == 200
    with TestClient(create_app(settings.model_copy(update={"serving_only": "letters"}))) as client:
        assert client.post("/invocations", json=body).json()["predictions"] == [{"score": 1.0, "decision": True}]
        assert client.get("/version").text == "noria/1 letters/0"
    with TestClient(create_app(settings.model_copy(update={"serving_only": "leters"}))) as client:
        refused(client.post("/invocations", json=body), 404, "RESOURCE_DOES_NOT_EXIST", "did you mean letters?")


def test_ping_unready_server_is_503(settings, use_cases):
    shutil.rmtree(use_cases / "parcels")
    with TestClient(create_app(settings)) as client:
        assert client.get("/ping").status_code == 503
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 200
