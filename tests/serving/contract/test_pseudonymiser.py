"""What is personal in a request is a pseudonym before anything looks at it: the same one as in raw data."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from noria.core.base.errors import InstanceError, SettingsError
from noria.core.use_case import Privacy
from noria.data.ingest.privacy import protect
from noria.inference.predictor import baseline_predictor
from noria.testing.builders import a_use_case
from serving.contract.errors import FieldProblem
from serving.contract.pseudonymiser import Pseudonymiser
from serving.models.served_model import Origin, ServedModel
from serving.predict.instances import check_rows

KEY = "a key"


def a_pseudonymiser(tmp_path, key=KEY, **privacy):
    """Of a use case that may drop a feature, which the contract refuses: what was written before it did is still served."""
    treatments = {name: Privacy(treatment) for name, treatment in privacy.items()}
    return Pseudonymiser.of(a_use_case(tmp_path).model_copy(update={"privacy": treatments}), key)


def test_pseudonymiser_of_use_case_without_personal_fields_is_none(tmp_path):
    assert a_pseudonymiser(tmp_path) is None
    assert a_pseudonymiser(tmp_path, depot="keep", driver="pseudonymise", note="drop") is None


def test_a_key_is_asked_for_only_where_it_is_needed(tmp_path):
    with pytest.raises(SettingsError, match="NORIA_PSEUDONYM_KEY is not set, and parcels pseudonymises depot"):
        a_pseudonymiser(tmp_path, key="", depot="pseudonymise")
    assert a_pseudonymiser(tmp_path, key="", driver="pseudonymise") is None
    assert a_pseudonymiser(tmp_path, key="", depot="drop") is not None


@pytest.mark.parametrize("values", [["nørth", "", None, " x "], [9, 0, -3, None]])
def test_protect_gives_the_pseudonyms_of_training(tmp_path, values):
    raw = protect(pa.table({"depot": values}), {"depot": Privacy.PSEUDONYMISE}, KEY)["depot"].to_pylist()
    pseudonymiser = a_pseudonymiser(tmp_path, depot="pseudonymise")
    assert [pseudonymiser.protect({"depot": value})["depot"] for value in values] == raw
    assert raw.count(None) == 1


def test_the_row_that_was_sent_is_left_alone_and_the_rest_of_it_is_kept(tmp_path):
    pseudonymiser = a_pseudonymiser(tmp_path, depot="pseudonymise", weight="drop")
    row = {"depot": "north", "weight": 70, "hour": 19}
    safe = pseudonymiser.protect(row)
    assert safe.keys() == {"depot", "hour"}
    assert safe["hour"] == 19
    assert len(safe["depot"]) == 32
    assert row == {"depot": "north", "weight": 70, "hour": 19}
    assert pseudonymiser.protect({}) == {}


@pytest.mark.parametrize("looks", ["0123456789abcdef" * 2, "d41d8cd98f00b204e9800998ecf8427e"])
def test_protect_value_that_looks_like_a_pseudonym_is_replaced(tmp_path, looks):
    pseudonymiser = a_pseudonymiser(tmp_path, depot="pseudonymise")
    assert pseudonymiser.protect({"depot": looks})["depot"] != looks


def test_a_pseudonym_may_be_sent_on_purpose(tmp_path):
    pseudonymiser = a_pseudonymiser(tmp_path, depot="pseudonymise")
    known = pseudonymiser.protect({"depot": "north"})["depot"]
    assert pseudonymiser.protect({"depot": f"pseudonym:{known}"})["depot"] == known
    for almost in ("pseudonym:north", f"pseudonym:{known} north", f"pseudonym:{known.upper()}", f"pseudonym:{known}\n"):
        found = pseudonymiser.protect({"depot": almost})["depot"]
        assert len(found) == 32
        assert found != known


def test_the_entity_is_protected_like_a_field(tmp_path):
    assert a_pseudonymiser(tmp_path, depot="drop").protect_entity("P-1") == "P-1"
    assert a_pseudonymiser(tmp_path, parcel_id="drop").protect_entity("P-1") is None
    pseudonymiser = a_pseudonymiser(tmp_path, parcel_id="pseudonymise")
    assert pseudonymiser.protect_entity("7") == pseudonymiser.protect({"parcel_id": 7})["parcel_id"]
    assert len(pseudonymiser.protect_entity("7")) == 32
    assert pseudonymiser.protect_entity(None) is None


@pytest.mark.parametrize("value", [True, 3.5, ["secret"], {"secret": 1}])
def test_protect_other_types_stay_and_kind_of_hides_their_value(tmp_path, value):
    pseudonymiser = a_pseudonymiser(tmp_path, depot="pseudonymise")
    assert pseudonymiser.protect({"depot": value})["depot"] == value
    assert pseudonymiser.hidden == {"depot"}
    kind = pseudonymiser.kind_of(value)
    assert "not shown" in kind
    assert "3.5" not in kind
    assert "secret" not in kind


def test_strange_texts_and_huge_integers_have_a_pseudonym_too(tmp_path):
    pseudonymiser = a_pseudonymiser(tmp_path, depot="pseudonymise")
    strange = [pseudonymiser.protect({"depot": value})["depot"] for value in ("\ud800", "a\0b", 10**9000, "x" * 100_000)]
    assert len(set(strange)) == 4
    assert {len(text) for text in strange} == {32}


def test_hush_removes_personal_values_from_errors(tmp_path):
    use_case = a_use_case(tmp_path, privacy={"depot": "pseudonymise", "parcel_id": "pseudonymise"})
    pseudonymiser = Pseudonymiser.of(use_case, KEY)
    model = ServedModel(use_case, baseline_predictor(use_case), "0", "", datetime(2024, 5, 1, tzinfo=UTC), Origin.RULE)
    rows = [
        {"depot": 4711, "hour": "19"},
        {"depot": ["Jane"], "parcel_id": {"Jane": 1}, "hour": 1},
        {"depot": True, "parcel_id": "Jane\0", "hour": 10**400},
        {"depot": 2.5e9},
        "Jane",
    ]
    with pytest.raises(InstanceError) as caught:
        check_rows(rows, model)
    problems = pseudonymiser.hush(caught.value.problems)
    found = {problem.where: problem.found for problem in problems}
    hidden = "(not shown: it is personal)"
    assert found == {
        "instances[0].hour": '"19"',
        "instances[0].depot": f"a number {hidden}",
        "instances[1].depot": f"a list {hidden}",
        "instances[1].parcel_id": f"an object {hidden}",
        "instances[2].hour": "an integer of 1329 bits",
        "instances[2].depot": "true",
        "instances[2].parcel_id": f"a text {hidden}",
        "instances[3].hour": "nothing",
        "instances[3].depot": f"a number {hidden}",
        "instances[4]": f"a text {hidden}",
    }
    assert [problem.suggestion for problem in problems if problem.where == "instances[0].hour"] != [""]
    text = str(InstanceError(problems)) + "".join(problem.suggestion for problem in problems)
    assert not any(secret in text for secret in ("Jane", "4711", "2500000000"))
    alone = FieldProblem("entities[0]", '"Jane"', "a name that has features")
    assert [problem.found for problem in pseudonymiser.hush([alone])] == [f"a text {hidden}"]
