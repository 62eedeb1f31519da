"""The API as an app sees it, on version 0, with neither registry nor database."""

import json

import jsonschema
import pytest
from fastapi.testclient import TestClient

from noria.testing.builders import write_use_case
from serving.app import create_app
from serving.http.request_head import MAX_BYTES


@pytest.fixture
def client(settings):
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def predict(client, *instances, use_case="parcels"):
    return client.post(f"/v1/{use_case}/predict", json={"instances": list(instances)})


def errors(response):
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {error["where"]: (error["found"], error["expected"], error["suggestion"]) for error in response.json()["errors"]}


def test_predict_before_any_training_the_baseline_answers(client):
    answer = predict(client, {"hour": 19}, {"hour": 7, "weight": None, "parcel_id": "P-1"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["use_case"], body["version"]) == ("parcels", "0")
    assert [(p["score"], p["decision"], p["threshold"], p["version"]) for p in body["predictions"]] == [
        (1.0, True, 0.5, "0"),
        (0.0, False, 0.5, "0"),
    ]
    assert len({p["id"] for p in body["predictions"]}) == 2


def test_predict_wrong_fields_are_all_named_with_the_valid_values(client):
    answer = predict(client, {"hour": "12", "wieght": 3, "depot": True}, {"weight": False}, 3)
    assert errors(answer) == {
        "instances[0].hour": ('"12"', "a number", "send it without quotes: 12"),
        "instances[0].depot": ("true", "a string or null", 'send it as text: "true"'),
        "instances[0].wieght": (
            "a field that this model does not know",
            "only the model's fields",
            "did you mean weight?",
        ),
        "instances[1].weight": ("false", "a number or null", "send 0"),
        "instances[1].hour": ("nothing", "a value (it is required)", "add hour"),
        "instances[2]": ("3", "an object with the model's fields", ""),
    }


def test_null_is_not_suggested_for_a_field_that_is_required(client):
    answer = predict(client, {"hour": "noon", "weight": "heavy"})
    assert errors(answer) == {
        "instances[0].hour": ('"noon"', "a number", ""),
        "instances[0].weight": ('"heavy"', "a number or null", "send null where the value is not known"),
    }


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "1e300", "-1e39"])
def test_numbers_that_no_model_can_read_are_refused(client, value):
    answer = client.post("/v1/parcels/predict", content=f'{{"instances": [{{"hour": 1, "weight": {value}}}]}}')
    assert list(errors(answer)) == ["instances[0].weight"]


@pytest.mark.parametrize("text", [r"a\u0000b", r"\ud800"])
@pytest.mark.parametrize("field", ["depot", "parcel_id"])
def test_text_that_postgresql_cannot_store_is_refused(client, field, text):
    answer = client.post("/v1/parcels/predict", content=f'{{"instances": [{{"hour": 1, "{field}": "{text}"}}]}}')
    assert list(errors(answer)) == [f"instances[0].{field}"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"instances": [{]}', "line 1, column 17"),
        ("", "line 1, column 1"),
        ('{"instances": [{"hour": ' + "9" * 5000 + "}]}", "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not UTF-8"),
        ("[]", "no field instances"),
        ('{"instances": []}', "an empty list"),
        ('{"instances": {"hour": 1}}', "expected a list"),
        ('{"instances": [{"hour": 1}], "inputs": 1}', '"inputs" is not a field'),
    ],
)
def test_predict_malformed_body_is_400_and_names_the_place(client, body, message):
    answer = client.post("/v1/parcels/predict", content=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:noria:problem:malformed-body")
    assert message in answer.json()["detail"]


def test_a_thousand_instances_are_answered_and_one_more_is_too_many(client):
    answer = predict(client, *[{"hour": hour % 24} for hour in range(1000)])
    assert [p["decision"] for p in answer.json()["predictions"]] == [hour % 24 >= 18 for hour in range(1000)]
    assert predict(client, *[{"hour": 1}] * 1001).status_code == 413


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(client, chunked):
    content = b" " * (MAX_BYTES + 1)
    answer = client.post("/v1/parcels/predict", content=iter([content]) if chunked else content)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:noria:problem:body-too-large")


def test_at_most_a_hundred_errors_are_listed(client):
    answer = predict(client, *[{}] * 150)
    assert len(errors(answer)) == 100
    assert answer.json()["detail"].startswith("150 fields wrong; the first 100 are listed")


def test_unknown_use_case_is_404_and_names_the_known_ones(client):
    for answer in (predict(client, {}, use_case="parcel"), client.get("/v1/parcel")):
        assert answer.status_code == 404
        assert "did you mean parcels? Known: parcels" in answer.json()["detail"]


def test_unknown_routes_and_methods_are_problem_reports_too(client):
    for answer, status in ((client.get("/nowhere"), 404), (client.delete("/v1"), 405)):
        assert answer.status_code == answer.json()["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_no_stack_trace_leaves(client, monkeypatch):
    monkeypatch.setattr("serving.predict.prediction.answers_of", lambda *_: 1 / 0)
    answer = predict(client, {"hour": 1})
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:noria:problem:internal-error")
    assert "ZeroDivision" not in answer.text
    counted = 'noria_serving_requests_total{alias="rule",status="500",use_case="parcels",version="0"} 1.0'
    assert counted in client.get("/metrics").text


def test_a_prediction_that_cannot_be_recorded_is_not_given(client, settings):
    journal = settings.serving_state / "journal"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text("a file where the folder should be")
    answer = predict(client, {"hour": 1})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:noria:problem:journal-unavailable")
    assert client.get("/readyz").status_code == 503
    journal.unlink()
    assert predict(client, {"hour": 1}).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_about_has_use_case_fields_and_version(client):
    about = client.get("/v1/parcels").json()
    assert about["title"] == "Warn customers of a late parcel"
    assert about["decision"] == "send a warning"
    assert [(field["name"], field["required"]) for field in about["expects"]] == [
        ("weight", False),
        ("hour", True),
        ("depot", False),
    ]
    assert (about["serves"]["version"], about["serves"]["origin"]) == ("0", "rule")
    assert client.get("/v1").json() == {"use_cases": [about]}


def test_the_documented_example_fits_its_schema_and_works(client):
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/parcels/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    example = content["examples"]["one"]["value"]
    request = {**content["schema"], "components": document["components"]}
    jsonschema.validate(example, request)
    for wrong in (
        {"instances": []},
        {"instances": [{"hour": "1"}]},
        {"instances": [{"hour": 1, "x": 1}]},
        {"instances": [{}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, request)
        assert client.post("/v1/parcels/predict", json=wrong).status_code in (400, 422)
    answer = client.post("/v1/parcels/predict", json=example)
    assert answer.status_code == 200
    response = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), {**response, "components": document["components"]})
    assert "{use_case}" not in json.dumps(list(document["paths"]))


def test_every_reference_in_the_document_is_there(client):
    document = client.get("/openapi.json").json()
    references = {part.split('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]}
    assert references
    assert references <= set(document["components"]["schemas"])


def test_a_use_case_added_while_serving_is_taken_up(client, use_cases):
    assert predict(client, {"hour": 20}, use_case="letters").status_code == 404
    write_use_case(use_cases, name="letters")
    client.app.state.services.source.refresh()
    assert predict(client, {"hour": 20}, use_case="letters").status_code == 200
    assert "/v1/letters/predict" in client.get("/openapi.json").json()["paths"]
    (use_cases / "letters" / "use_case.yaml").write_text("name: [")
    client.app.state.services.source.refresh()
    assert predict(client, {"hour": 20}, use_case="letters").status_code == 200


def test_pages_escape_texts_of_users_and_load_nothing_from_elsewhere(settings, use_cases):
    write_use_case(use_cases, name="evil", title="<script>alert(1)</script>")
    with TestClient(create_app(settings)) as client:
        for page in (client.get("/"), client.get("/docs")):
            assert page.status_code == 200
            assert "<script>alert" not in page.text
            assert "&lt;script&gt;alert" in page.text
            assert 'src="http' not in page.text
            assert "$" not in page.text
        assert "curl -s -X POST http://testserver/v1/parcels/predict" in page.text


def test_metrics_count_by_use_case_version_and_status_and_no_label_comes_from_outside(client):
    predict(client, {"hour": 20}, {"hour": 1})
    predict(client, {"hour": "x"})
    predict(client, {"hour": 1}, use_case="made_up_by_a_caller")
    text = client.get("/metrics").text
    assert 'noria_serving_requests_total{alias="rule",status="200",use_case="parcels",version="0"} 1.0' in text
    assert 'noria_serving_requests_total{alias="rule",status="422",use_case="parcels",version="0"} 1.0' in text
    assert 'noria_serving_predictions_total{alias="rule",decision="yes",use_case="parcels",version="0"} 1.0' in text
    assert 'noria_serving_request_seconds_count{alias="rule",use_case="parcels",version="0"} 2.0' in text
    assert 'noria_serving_model_info{digest="",origin="rule",use_case="parcels",version="0"} 1.0' in text
    assert "noria_serving_journal_segments 1.0" in text
    assert "made_up" not in text
