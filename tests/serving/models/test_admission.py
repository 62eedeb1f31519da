"""A version is admitted only if it can answer valid requests of the use case in the form of its task."""

import pytest
from fastapi.testclient import TestClient

from noria.core.model.signature import Field, Kind, Signature
from noria.testing.builders import use_case_fields, write_use_case
from serving.app import create_app


def signature(**kinds):
    return Signature(fields=tuple(Field(name=name, kind=kind) for name, kind in kinds.items()))


def serves(services, name):
    services.source.refresh()
    model = services.models.get(name)
    return model.version, model.digest, str(model.origin)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "regression"}, "its task is regression, the use case's is binary_classification"),
        ({"signature": signature(weight=Kind.NUMERIC, speed=Kind.NUMERIC)}, "it reads speed, which is no feature"),
        (
            {"signature": signature(weight=Kind.CATEGORICAL)},
            "it reads weight as categorical, the use case has it as numeric",
        ),
        ({"task": "multiclass"}, "its task is multiclass"),
    ],
)
def test_a_champion_that_does_not_fit_the_use_case_is_refused(services, settings, name, registry, register, changes, reason):
    good, bundle = register(1)
    registry.set_champion(name, good)
    serves(services, name)
    bad, _ = register(2, **changes)
    registry.set_champion(name, bad)
    for _ in range(2):
        assert serves(services, name) == (good, bundle.digest, "registry")
    assert services.source.refused[name].startswith(f"version {bad}: it does not fit the use case: {reason}")
    assert [path.name for path in (settings.serving_state / "bundles" / name).iterdir()] == [bundle.digest]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"classes": ("on_time", "late", "stolen")},
            "its classes are on_time, late, stolen, the use case's are on_time, late",
        ),
        ({"classes": ("late", "lost"), "payoffs": ()}, "its classes are late, lost"),
        ({"payoffs": ((1.0, 2.0),)}, "its payoffs are not a table of 3 by 3"),
        ({"graph_of": "binary_classification"}, "its graph gives scores of shape (1, 2), expected (1, 3)"),
    ],
)
def test_a_champion_of_other_classes_is_refused(services, use_cases, name, registry, register, changes, reason):
    write_use_case(use_cases, name=name, task="multiclass")
    version, _ = register(1, task="multiclass", **changes)
    registry.set_champion(name, version)
    assert serves(services, name) == ("0", "", "rule")
    assert reason in services.source.refused[name]


def test_use_case_edited_beyond_its_version_is_answered_as_before(services, restart, use_cases, name, registry, register):
    version, bundle = register(1)
    registry.set_champion(name, version)
    serves(services, name)
    write_use_case(use_cases, name=name, task="multiclass")
    for _ in range(2):
        assert serves(services, name) == (version, bundle.digest, "registry")
    assert str(services.models.get(name).use_case.task) == "binary_classification"
    assert "answers as before: it does not fit the use case: its task is" in services.source.refused[name]
    assert serves(restart(), name) == ("0", "", "rule")  # a start has nothing to go on with
    (latest, fitting) = register(2, task="multiclass")
    registry.set_champion(name, latest)
    assert serves(services, name) == (latest, fitting.digest, "registry")
    assert (str(services.models.get(name).use_case.task), services.source.refused) == ("multiclass", {})


def test_a_refused_champion_is_tried_at_once_when_the_use_case_is_edited(services, use_cases, name, registry, register):
    version, bundle = register(1, task="multiclass")
    registry.set_champion(name, version)
    assert serves(services, name) == ("0", "", "rule")
    write_use_case(use_cases, name=name, task="multiclass")
    assert serves(services, name) == (version, bundle.digest, "registry")
    assert services.source.refused == {}


def test_an_app_that_sends_a_new_feature_is_answered_by_a_version_that_does_not_read_it(
    settings, use_cases, name, make_bundle, on_disk
):
    on_disk(make_bundle(1, use_case=name), "1")
    features = use_case_fields()["features"]
    write_use_case(use_cases, name=name, features={**features, "categorical": ["depot", "street"]})
    with TestClient(create_app(settings)) as client:
        body = {"instances": [{"hour": 19, "street": "High Street"}]}
        assert client.post(f"/v1/{name}/predict", json=body).json()["version"] == "1"
        wrong = client.post(f"/v1/{name}/predict", json={"instances": [{"hour": 19, "street": 5}]})
        assert wrong.json()["errors"][0]["where"] == "instances[0].street"
        expects = {field["name"]: field["description"] for field in client.get(f"/v1/{name}").json()["expects"]}
        assert expects["street"] == "(This version does not read it.)"
