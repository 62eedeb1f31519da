"""Yes or no, one of several classes, a number: each answered, documented, logged and counted in its own words."""

import jsonschema
import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from noria.registry.mlflow_registry import MlflowRegistry
from noria.testing.builders import use_case_fields, write_use_case
from serving.app import create_app
from tests.serving.bundles import OUTCOME

TASKS = ("binary_classification", "multiclass", "regression")
CLASSES = ("on_time", "late", "lost")
INSTANCE = {"weight": 3.5, "hour": 19, "depot": "north"}


@pytest.fixture(params=TASKS)
def task(request, use_cases):
    """The use case `parcels`, of each task."""
    write_use_case(use_cases, name="parcels", task=request.param)
    return request.param


@pytest.fixture
def as_task(use_cases):
    """Makes `parcels` a use case of a task."""

    def write(task, **business):
        fields = use_case_fields(name="parcels", task=task)
        write_use_case(use_cases, {**fields, "business": {**fields["business"], **business}})

    return write


def asked(client, *instances):
    return client.post("/v1/parcels/predict", json={"instances": list(instances)})


def answers(client, *instances):
    response = asked(client, *instances)
    assert response.status_code == 200, response.text
    return [
        {name: value for name, value in prediction.items() if name not in ("id", "version")}
        for prediction in response.json()["predictions"]
    ]


def worth_most(probabilities):
    """The class that the payoffs of the builder's use case make best."""
    money = {
        (decided, came): 1.0 if decided == came else -2.0 if came == "lost" else -1.0
        for decided in CLASSES
        for came in CLASSES
    }
    return max(CLASSES, key=lambda decided: sum(probabilities[came] * money[decided, came] for came in CLASSES))


def test_baseline_of_classes_gives_one_with_certainty(settings, as_task):
    as_task("multiclass")
    with TestClient(create_app(settings)) as client:
        assert answers(client, {"hour": 19}, {"hour": 3}) == [
            {"score": 1.0, "decision": "late", "probabilities": {"on_time": 0.0, "late": 1.0, "lost": 0.0}},
            {"score": 1.0, "decision": "on_time", "probabilities": {"on_time": 1.0, "late": 0.0, "lost": 0.0}},
        ]


def test_baseline_of_numbers_gives_the_number(settings, as_task):
    as_task("regression")
    with TestClient(create_app(settings)) as client:
        assert answers(client, {"hour": 19}, {"hour": 3.25}) == [
            {"score": 38.0, "decision": 38.0},
            {"score": 6.5, "decision": 6.5},
        ]


def test_baseline_without_a_number_names_missing_values_of_every_instance(settings, as_task):
    as_task("regression", baseline="weight if hour > 12 else 95")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        response = asked(client, {"hour": 19}, {"hour": 3}, {"hour": 20, "weight": None})
        assert (response.status_code, response.json()["type"]) == (422, "urn:noria:problem:unscorable")
        assert response.json()["detail"] == "2 instances without a score. Nothing was predicted."
        needs = ("no number", "values that the baseline needs: weight if hour > 12 else 95", "send weight")
        found = {e["where"]: (e["found"], e["expected"], e["suggestion"]) for e in response.json()["errors"]}
        assert found == {"instances[0]": needs, "instances[2]": needs}
        assert client.get("/readyz").json()["predictions"]["journal_bytes"] == 0
        assert answers(client, {"hour": 19, "weight": 2}) == [{"score": 2.0, "decision": 2.0}]


def test_baseline_that_fails_on_a_value_is_422_with_the_value(settings, as_task):
    as_task("regression", baseline="first(depot * weight, 95)")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        response = asked(client, {"hour": 1}, {"hour": 1, "depot": "north", "weight": 0.5})
        assert (response.status_code, response.json()["type"]) == (422, "urn:noria:problem:unscorable")
        (error,) = response.json()["errors"]
        assert error["where"] == "instances[1]"
        assert error["found"] == '{"depot": "north", "weight": 0.5}'
        assert error["suggestion"] == "tell logistics@example.com"


def test_numbers_too_large_for_a_model_are_422(settings, as_task, make_bundle, on_disk):
    as_task("regression")
    on_disk(make_bundle(1, task="regression"), "1")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        response = asked(client, INSTANCE, {"hour": 1, "weight": 3.4e38})
        assert (response.status_code, response.json()["type"]) == (422, "urn:noria:problem:unscorable")
        (error,) = response.json()["errors"]
        assert (error["where"], error["suggestion"]) == ("instances[1]", "check their units")


def test_a_trained_version_of_classes_decides_for_the_one_that_is_worth_most(settings, as_task, make_bundle, on_disk):
    as_task("multiclass")
    bundle = make_bundle(1, task="multiclass")
    on_disk(bundle, "1")
    with TestClient(create_app(settings)) as client:
        many = answers(client, INSTANCE, *({"hour": hour, "weight": weight} for hour in range(24) for weight in (0, 20, 60)))
        assert list(many[0]["probabilities"].values()) == pytest.approx(bundle.score, abs=1e-6)
        assert [answer["decision"] for answer in many] == [worth_most(answer["probabilities"]) for answer in many]
        assert all(answer["score"] == answer["probabilities"][answer["decision"]] for answer in many)
        # money decides, not likelihood alone
        assert any(answer["decision"] != max(CLASSES, key=answer["probabilities"].get) for answer in many)


def test_document_has_fields_and_decision_of_a_use_case(settings, task, make_bundle, on_disk):
    on_disk(make_bundle(1, task=task), "1")
    with TestClient(create_app(settings)) as client:
        about = client.get("/v1/parcels").json()
    assert (about["task"], about["currency"]) == (task, "EUR")
    assert about["classes"] == (list(CLASSES) if task == "multiclass" else [])
    assert about["serves"]["threshold"] == (0.4 if task == "binary_classification" else None)
    if task == "multiclass":
        assert about["serves"]["payoffs"]["late"] == {"on_time": -1.0, "late": 1.0, "lost": -2.0}
        assert about["value"] == about["serves"]["payoffs"]
    elif task == "regression":
        assert (about["label"], about["value"]) == ("minutes_late", {"over": -0.1, "under": -0.3})
        assert about["serves"]["payoffs"] == {}
    else:
        assert about["value"]["false_negative"] == -3


@pytest.mark.parametrize("trained", [False, True])
def test_the_documented_example_works_and_its_answer_fits_the_documented_type(settings, task, make_bundle, on_disk, trained):
    if trained:
        on_disk(make_bundle(1, task=task), "1")
    with TestClient(create_app(settings)) as client:
        document = client.get("/openapi.json").json()
        operation = document["paths"]["/v1/parcels/predict"]["post"]
        example = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
        answer = client.post("/v1/parcels/predict", json=example)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == ("1" if trained else "0")
    response = operation["responses"]["200"]["content"]["application/json"]["schema"]
    schema = {**response, "components": document["components"]}
    jsonschema.validate(answer.json(), schema)
    (prediction,) = answer.json()["predictions"]
    others = {"decision": [None, {}, "never"], "score": ["0.5", None], "version": [1]}
    for name, wrongs in others.items():
        for wrong in wrongs:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**answer.json(), "predictions": [{**prediction, name: wrong}]}, schema)


def test_the_documented_type_names_the_classes_and_the_label(settings, use_cases):
    for task in TASKS:
        write_use_case(use_cases, name=f"{task}_parcels", task=task)
    with TestClient(create_app(settings)) as client:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    classes = schemas["MulticlassParcelsPrediction"]["properties"]
    assert classes["decision"]["enum"] == list(CLASSES) == classes["probabilities"]["required"]
    number = schemas["RegressionParcelsPrediction"]["properties"]
    assert number["score"]["description"] == "The minutes_late predicted, in the unit of that column."
    assert number["decision"]["type"] == "number"
    yes_or_no = schemas["BinaryClassificationParcelsPrediction"]["properties"]
    assert yes_or_no["decision"]["type"] == "boolean"
    assert "A decision of true means: send a warning." in yes_or_no["decision"]["description"]


def test_pages_show_label_and_value(settings, use_cases):
    for task in TASKS:
        write_use_case(use_cases, name=f"{task}_parcels", task=task)
    with TestClient(create_app(settings)) as client:
        docs, landing = client.get("/docs").text, client.get("/").text
    assert (
        "A decision of true means: send a warning. It decides true where the score, a probability, is at least 0.5." in docs
    )
    assert "The decision is a class, one of on_time, late, lost: prepare for it. It decides for the likeliest class." in docs
    assert "In EUR: −0.1 per unit too high, −0.3 per unit too low." in docs
    assert "Predicts a number." in landing
    assert "$" not in docs + landing


RULE = 'alias="rule"'


def test_metrics_count_decisions_by_class_and_look_at_numbers(settings, use_cases):
    for task in TASKS:
        write_use_case(use_cases, name=f"{task}_parcels", task=task)
    with TestClient(create_app(settings)) as client:
        for task in TASKS:
            body = {"instances": [{"hour": 19}, {"hour": 20}, {"hour": 3, "depot": "no label of mine"}]}
            assert client.post(f"/v1/{task}_parcels/predict", json=body).status_code == 200
        text = client.get("/metrics").text
    counted = {line for line in text.splitlines() if line.startswith("noria_serving_predictions_total")}
    assert counted == {
        f'noria_serving_predictions_total{{{RULE},decision="{decision}",use_case="{task}_parcels",version="0"}} {count}'
        for task, decision, count in (
            ("binary_classification", "yes", 2.0),
            ("binary_classification", "no", 1.0),
            ("multiclass", "late", 2.0),
            ("multiclass", "on_time", 1.0),
            ("regression", "number", 3.0),
        )
    }
    assert (
        'noria_serving_predicted_number_bucket{alias="rule",le="10.0",use_case="regression_parcels",version="0"} 1.0' in text
    )
    assert 'noria_serving_predicted_number_count{alias="rule",use_case="regression_parcels",version="0"} 3.0' in text
    assert "multiclass_parcels" not in "".join(line for line in text.splitlines() if "predicted_number" in line)
    assert "no label of mine" not in text


def test_over_real_http_both_versions_answer_and_are_logged(
    settings, use_cases, mlflow_url, table, make_bundle, serve, eventually, tmp_path
):
    registry = MlflowRegistry(mlflow_url)
    names = {task: f"{task}_{tmp_path.name[-8:].strip('_').lower()}" for task in TASKS[1:]}
    bundles = {}
    for task, name in names.items():
        write_use_case(use_cases, name=name, task=task)
        for seed in (1, 2):
            bundle = bundles[task, str(seed)] = make_bundle(seed, use_case=name, task=task)
            registry.register(name, bundle.folder, bundle.digest, key=f"key-{seed}", params={}, outcome=OUTCOME)
        registry.set_champion(name, "1")
    server = serve(settings.model_copy(update={"mlflow_url": mlflow_url, "warehouse_url": SecretStr(table)}))
    given = {}
    for version in ("1", "2"):
        for task, name in names.items():
            registry.set_champion(name, version)
            answered = []

            def swapped(name=name, version=version, answered=answered):
                answered.append(server.predict(name))
                return answered[-1]["version"] == version

            eventually(swapped, what=server.log.read_text)
            given |= {prediction["id"]: prediction for prediction in answered}
            scores = list(answered[-1].get("probabilities", {"": answered[-1]["score"]}).values())
            expected = bundles[task, version].score
            assert scores == pytest.approx(expected if isinstance(expected, list) else [expected], abs=1e-4)
    server.stop()
    with psycopg.connect(table) as connection:
        rows = connection.execute(
            "select id::text, version, score, decision, probabilities, threshold from ops.predictions"
        ).fetchall()
    logged = {row[0]: row[1:] for row in rows}
    assert logged == {
        identity: (
            prediction["version"],
            prediction["score"],
            str(prediction["decision"]),
            prediction.get("probabilities"),
            None,
        )
        for identity, prediction in given.items()
    }
    assert {row[0] for row in logged.values()} == {"1", "2"}
