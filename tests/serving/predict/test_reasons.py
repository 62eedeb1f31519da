"""Why a prediction is what it is: the fields that moved it most, in the use case's own words."""

import json
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from noria.core.model.bundle import EXPLAINER, MODEL, Manifest
from noria.core.model.decision import policy_of
from noria.core.model.encoder import Encoder
from noria.core.model.encoder_columns import LookupColumn, NumericColumn, OneHotColumn
from noria.core.model.explainer import write_explainer
from noria.core.model.signature import Field, Kind, Signature
from noria.core.use_case import Task
from noria.inference.predictor import baseline_predictor, load_predictor
from noria.io.bundle_files import write_bundle
from noria.testing.builders import a_use_case
from noria.training.data.target import target_of
from noria.training.models.base.margin import MarginModel
from noria.training.models.linear import Weights
from serving.app import create_app
from serving.contract.errors import BodyTooLargeError, NoReasonsError
from serving.models.served_model import Origin, ServedModel
from serving.predict import reasons
from serving.predict.reason_words import direction, finding
from serving.predict.reasons import explain, is_quick
from tests.serving.bundles import Bundle

FIELDS = (
    Field(name="weight", kind=Kind.NUMERIC, unit="kg", description="Weight of the parcel, packed"),
    Field(name="hour", kind=Kind.NUMERIC, required=True),
    Field(name="depot", kind=Kind.CATEGORICAL, description="Depot: north or south"),
)
ENCODER = Encoder(
    columns=(
        NumericColumn(name="weight", center=10, scale=5, missing=0.0),
        LookupColumn(name="depot", values={"north": 1.0, "south": -1.0}, unseen=0.0, missing=0.5),
        NumericColumn(name="hour", center=12, scale=6, missing=0.0),
        OneHotColumn(name="depot", categories=("north", "south")),
    )
)
ROW = {"weight": 20.0, "hour": 18.0, "depot": "north"}
UP_TO = np.array([0.5, 0.25, -0.1, 0.5, 0.0])
"""Of weight, the depot's lookup, hour, north and south."""
OUTPUTS = {Task.BINARY_CLASSIFICATION: [UP_TO], Task.MULTICLASS: [UP_TO, 0 * UP_TO, -UP_TO], Task.REGRESSION: [2000 * UP_TO]}


def served(use_case, predictor, version):
    since = datetime(2024, 5, 1, tzinfo=UTC)
    return ServedModel(use_case, predictor, version, "", since, Origin.DISK)


def write(folder, use_case, *, explained=True):
    """A bundle of a linear model of the use case's task, and its digest."""
    task, policy, target = use_case.task, policy_of(use_case), target_of(use_case)
    weights = Weights(np.array(OUTPUTS[task]), np.zeros(len(OUTPUTS[task])), np.zeros(ENCODER.width))
    manifest = Manifest(
        use_case=use_case.name,
        kind="onnx",
        candidate="linear",
        signature=Signature(fields=FIELDS),
        task=task,
        classes=policy.classes,
        payoffs=policy.payoffs,
        encoder=ENCODER,
    )
    files = {MODEL: MarginModel(target).to_onnx(weights, ENCODER.width)}
    if explained:
        files[EXPLAINER] = write_explainer(weights.explained(), target.outputs, ENCODER.width)
    return write_bundle(folder, manifest, files)


@pytest.fixture
def model_of(tmp_path):
    """A linear model of a task, loaded from a bundle."""

    def make(task=Task.BINARY_CLASSIFICATION, explained=True, **changes):
        use_case = a_use_case(tmp_path, task=task.value, **changes)
        write(tmp_path / "bundle", use_case, explained=explained)
        return served(use_case, load_predictor(tmp_path / "bundle"), "3")

    return make


def test_the_strongest_fields_come_first_in_their_own_words(model_of):
    (found,) = explain(model_of(), [ROW], 2)
    assert [(reason.field, reason.value) for reason in found] == [("weight", 20.0), ("depot", "north")]
    assert [reason.contribution for reason in found] == [pytest.approx(1.0), pytest.approx(0.75)]  # both columns of depot
    assert found[0].text == 'Weight of the parcel is 20 kg: speaks for "late" (+1.00)'
    assert found[1].text == 'Depot is north: speaks for "late" (+0.75)'


def test_explain_negative_contributions_are_worded_and_zeros_left_out(model_of):
    (found,) = explain(model_of(), [{"weight": 10.0, "hour": 18.0, "depot": "south"}], 5)
    assert [reason.text for reason in found] == [
        'Depot is south: speaks against "late" (-0.25)',
        'Hour is 18: speaks against "late" (-0.10)',
    ]


def test_explain_missing_and_unseen_values_are_named(model_of):
    (found,) = explain(model_of(), [{"weight": 40.0, "hour": 12.0}], 5)
    assert [reason.text for reason in found] == [
        'Weight of the parcel is 40 kg: speaks for "late" (+3.00)',
        'Depot is missing: speaks for "late" (+0.12)',
    ]
    assert found[1].value is None
    moon = finding(FIELDS[2], "moon", known=False)
    assert moon == "Depot is moon, which training never saw"
    explainer = model_of().predictor.explainer
    assert (explainer.knows("depot", "moon"), explainer.knows("depot", "south")) == (False, True)


def test_the_word_for_yes_is_the_labels_own(tmp_path):
    label = {"model": "lbl_parcels", "column": "end_state", "positive": "lost", "available_after": "1d"}
    use_case = a_use_case(tmp_path, label=label)
    assert direction(use_case, -1.234) == 'speaks against "end state lost" (-1.23)'
    assert direction(use_case, 0.0004) == 'speaks for "end state lost" (+4e-04)'


def test_a_class_is_explained_for_the_class_decided_on(model_of):
    model = model_of(Task.MULTICLASS)
    (likely,) = explain(model, [ROW], 1)
    assert (likely[0].contribution, likely[0].text) == (
        pytest.approx(1.0),
        'Weight of the parcel is 20 kg: speaks for "on_time" (+1.00)',
    )
    (other,) = explain(model, [{**ROW, "weight": 2.0, "depot": "south"}], 1)
    assert other[0].text == 'Weight of the parcel is 2 kg: speaks for "lost" (+0.80)'
    (explained,) = explain(model, [ROW], 1, ["lost"])
    assert explained[0].text == 'Weight of the parcel is 20 kg: speaks against "lost" (-1.00)'


def test_a_number_is_explained_in_its_unit(model_of):
    label = {"model": "lbl_parcels", "column": "minutes_late", "available_after": "1d", "unit": "minutes"}
    (found,) = explain(model_of(Task.REGRESSION, label=label), [{**ROW, "depot": "south"}], 3)
    assert [reason.text for reason in found] == [
        'Weight of the parcel is 20 kg: raises "minutes late" by 2,000 minutes',
        'Depot is south: lowers "minutes late" by 500 minutes',
        'Hour is 18: lowers "minutes late" by 200 minutes',
    ]


def test_explain_baseline_gives_its_comparisons(tmp_path):
    use_case = a_use_case(tmp_path)
    rule = served(use_case, baseline_predictor(use_case), "0")
    ((reason,),) = explain(rule, [ROW], 3)
    assert (reason.field, reason.value, reason.contribution) == ("hour", 18.0, None)
    assert reason.text == 'Hour is 18: in the baseline "hour >= 18" holds'
    assert is_quick(rule, 1000)


def test_explain_baseline_of_several_fields_gives_each(tmp_path):
    baseline = "hour >= 18 and depot in ('north', 'south') or weight / hour > 3"
    use_case = a_use_case(tmp_path, business={**a_use_case(tmp_path).business.model_dump(mode="json"), "baseline": baseline})
    (found,) = explain(served(use_case, baseline_predictor(use_case), "0"), [{"hour": 0.0, "depot": "north"}], 3)
    assert [reason.text for reason in found] == [
        'Hour is 0: in the baseline "weight / hour > 3" does not hold, "hour >= 18" does not hold',
        "Depot is north: in the baseline \"depot in ('north', 'south')\" holds",
        'Weight is missing: in the baseline "weight / hour > 3" does not hold',
    ]


def test_explain_version_without_explainer_is_refused(model_of):
    model = model_of(explained=False)
    with pytest.raises(NoReasonsError, match="version 3 of parcels was made before"):
        explain(model, [ROW], 3)
    assert is_quick(model, 1000)  # to say no takes no time


def test_explain_damaged_explainer_is_refused_and_predictions_go_on(model_of, tmp_path):
    model = model_of()
    (tmp_path / "bundle" / EXPLAINER).write_bytes(b"other")
    with pytest.raises(NoReasonsError, match=r"cannot explain itself: .*SHA-256"):
        explain(model, [ROW], 3)
    assert 0 < model.predictor.score_rows([ROW])[0] < 1


def test_explain_too_many_steps_is_refused_at_once(model_of, monkeypatch):
    model = model_of()
    assert not is_quick(model, 1)  # its explainer lies on disk still
    explain(model, [ROW], 1)
    assert is_quick(model, 100)
    monkeypatch.setattr(reasons, "MOST_STEPS", 3 * model.predictor.explainer.steps)
    assert len(explain(model, [ROW] * 3, 1)) == 3
    with pytest.raises(BodyTooLargeError, match="reasons for 4 instances in one request, at most 3 are explained"):
        explain(model, [ROW] * 4, 1)


def test_reasons_go_over_the_wire(model_of):
    ((reason,),) = explain(model_of(), [{**ROW, "weight": 1e300}], 1)  # beyond what the encoder's float32 holds
    sent = json.loads(msgspec.json.encode(reason))
    assert set(sent) == {"field", "value", "contribution", "text"}
    assert isinstance(sent["contribution"], float)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (Field(name="overdue_flights", kind=Kind.NUMERIC), 2, "Overdue flights is 2"),
        (
            Field(name="n", kind=Kind.NUMERIC, description="Flights that have not left", unit="flights"),
            3.0,
            "Flights that have not left are 3",
        ),
        (
            Field(name="late_28d", kind=Kind.NUMERIC, description="The same, in 28 days", unit="share"),
            0.5,
            "Late 28d is 0.5 share",
        ),
        (
            Field(name="r", kind=Kind.NUMERIC, description="1 for a known guest", unit="yes is 1"),
            1,
            "1 for a known guest is 1",
        ),
        (
            Field(name="h", kind=Kind.NUMERIC, description="Hour of departure, local time", unit="hour"),
            19,
            "Hour of departure is 19",
        ),
        (
            Field(name="p", kind=Kind.NUMERIC, description="Pressure", unit="millibars"),
            1013.25,
            "Pressure is 1,013 millibars",
        ),
        (Field(name="a", kind=Kind.CATEGORICAL, description="Airport: EWR, JFK or LGA"), "JFK", "Airport is JFK"),
        (Field(name="x", kind=Kind.NUMERIC, description="(of the wind)"), float("nan"), "X is missing"),
    ],
)
def test_a_finding_reads_like_a_sentence(field, value, expected):
    assert finding(field, value) == expected


@pytest.mark.parametrize("explained", [True, False])
def test_reasons_asked_for_come_with_the_prediction(settings, on_disk, use_cases, tmp_path, explained):
    folder = tmp_path / "bundle"
    on_disk(Bundle(folder, write(folder, a_use_case(use_cases), explained=explained), None), "3")
    with TestClient(create_app(settings)) as client:
        plain, asked = (
            client.post(f"/v1/parcels/predict{query}", json={"instances": [ROW]}) for query in ("", "?reasons=2")
        )
    assert plain.status_code == 200, plain.text
    assert "reasons" not in plain.json()["predictions"][0]
    if explained:
        (prediction,) = asked.json()["predictions"]
        assert [reason["field"] for reason in prediction["reasons"]] == ["weight", "depot"]
        assert prediction["reasons"][0]["text"] == 'Weight of the parcel is 20 kg: speaks for "late" (+1.00)'
    else:
        assert asked.status_code == 409
        assert "was made before versions could explain themselves" in asked.json()["detail"]
