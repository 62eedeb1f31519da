import re

import pytest

from noria.core.base.errors import UseCaseError
from noria.core.use_case import json_schema
from noria.io.catalog import load_catalog, load_use_case
from noria.testing.builders import a_use_case, use_case_fields, write_use_case


def refusal(tmp_path, **changes):
    with pytest.raises(UseCaseError) as caught:
        load_use_case(write_use_case(tmp_path / "use_cases", **changes))
    return str(caught.value)


def test_a_plain_use_case_is_read(tmp_path):
    use_case = a_use_case(tmp_path)
    assert use_case.features.names == ("weight", "hour", "depot")
    assert use_case.known_before.total_seconds() == 7200
    assert use_case.features.numeric["weight"].range == (0, 70)


def test_a_title_is_one_line(tmp_path):
    assert a_use_case(tmp_path, title="Late parcels\n").title == "Late parcels"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gates": [{"metric": "roc_auc", "atleast": 0.7}]},
            r"use_case\.yaml: gates\[0\]\.atleast: .*did you mean at_least\?",
        ),
        ({"titel": "x"}, r"use_case\.yaml: titel: .*did you mean title\?"),
        ({"task": "binary_clasification"}, r"task: found 'binary_clasification'; .*did you mean binary_classification\?"),
        ({"known_before": "2 hours"}, r"known_before: found '2 hours'; .*2h"),
        ({"title": "one\ntwo"}, r"title: found 'one\\ntwo'; expected one line"),
        ({"title": "one\u2028two"}, r"title: found .*; expected one line"),
        ({"owner": "nobody"}, r"owner: found 'nobody'"),
        ({"segments": ["depott"]}, r"segments\[0\]: .*did you mean depot\?"),
        ({"name": "Parcels!"}, r"name: found 'Parcels!'"),
        ({"gates": [{"metric": "auc", "at_least": 0.7}]}, r"gates\[0\]\.metric: found 'auc'.*roc_auc"),
        ({"gates": [{"metric": "roc_auc"}]}, r"gates\[0\]: no condition; set exactly one"),
        ({"sources": [{"name": "a", "kind": "file", "path": "x"}]}, r"sources\[0\].*'file'.*files"),
        ({"sources": [{"name": "a", "kind": "files", "paht": "x"}]}, r"sources\[0\]\.paht: .*did you mean path\?"),
    ],
)
def test_a_wrong_field_is_named_with_found_and_expected(tmp_path, changes, message):
    assert re.search(message, refusal(tmp_path, **changes)), refusal(tmp_path, **changes)


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        (
            "regression",
            {"gates": [{"metric": "roc_auc", "at_least": 1}]},
            r"gates\[0\]\.metric: 'roc_auc' is not of regression",
        ),
        ("multiclass", {"gates": [{"metric": "macro_f", "at_least": 1}]}, r"gates\[0\]\.metric: .*macro_f1"),
        ("regression", {"training": {"metric": "roc_auc"}}, r"training\.metric: .*expected one of mae, rmse, pinball"),
        (
            "regression",
            {"label": {"model": "m", "column": "c", "available_after": "1d", "classes": ["a"]}},
            r"label\.classes",
        ),
        ("multiclass", {"label": {"model": "m", "column": "c", "available_after": "1d", "classes": ["a", "b"]}}, r"three"),
        ("multiclass", {"training": {"split": {"by": "group"}}}, r"training\.split\.group: found None"),
        ("multiclass", {"training": {"split": {"group": "depot"}}}, r"training\.split\.group: .*set by: group"),
        ("regression", {"risks": [{"risk": "r", "severity": "low", "mitigation": "m", "gate": "mae"}]}, r"risks\[0\]\.gate"),
        ("binary_classification", {"gates": [{"metric": "disparate_impact", "at_least": 0.8}]}, r"gates\[0\].*protected"),
        ("binary_classification", {"protected": ["weight"]}, r"protected\[0\]: 'weight' is no categorical feature"),
        (
            "binary_classification",
            {"gates": [{"metric": "f1", "at_least": 0.8, "at_most": 0.9}]},
            r"gates\[0\]: at_least and at_most; set exactly one",
        ),
    ],
)
def test_what_does_not_fit_the_task_is_named(tmp_path, task, change, message):
    found = refusal(tmp_path, **{"task": task, **change})
    assert re.search(message, found), found


@pytest.mark.parametrize(
    ("task", "money", "message"),
    [
        ("regression", {"true_positive": 1}, r"business\.value\.false_positive: is missing"),
        ("regression", {"over": -1}, r"business\.value\.under: is missing"),
        ("regression", {"over": 1, "under": -1}, r"business\.value\.over: found 1"),
        (
            "binary_classification",
            {"over": -1, "under": -1},
            r"business\.value: is the money of a regression use case; expected true_positive, .* since task is binary",
        ),
        ("multiclass", {"late": {"late": 1}}, r"business\.value: has no 'lost'.*\n.*business\.value: has no 'on_time'"),
        (
            "multiclass",
            {name: {"on_time": 1, "late": 1, "lots": 1} for name in ("on_time", "late", "lost")},
            r"business\.value\.late\.lots: is no class; did you mean lost\?",
        ),
    ],
)
def test_money_is_that_of_the_task(tmp_path, task, money, message):
    fields = use_case_fields(task=task)
    fields["business"]["value"] = money
    found = refusal(tmp_path, **fields)
    assert re.search(message, found), found


@pytest.mark.parametrize(
    ("task", "rule", "message"),
    [
        ("regression", "hour", "gives None where everything is missing; end it in a number"),
        ("regression", "hour > 3", "gives False where everything is missing"),
        ("multiclass", "'late' if hour > 3 else 'lots'", "can end in 'lots'"),
        ("multiclass", "hour > 3", "ends in something that is computed"),
    ],
)
def test_a_rule_ends_in_what_the_task_predicts(tmp_path, task, rule, message):
    fields = use_case_fields(task=task)
    fields["business"]["baseline"] = rule
    assert message in refusal(tmp_path, **fields)


@pytest.mark.parametrize(
    ("task", "anchor", "message"),
    [
        ("binary_classification", "first(hour, 3)", "training.anchor: task is binary_classification; remove it"),
        ("regression", "first(hours, 3)", "training.anchor: 'hours' is not a feature; did you mean hour?"),
        ("regression", "95", "training.anchor: '95' reads no feature"),
        ("regression", "hour ** 2", "'hour ** 2' is not allowed in a rule"),
        ("regression", "hour > 3", "training.anchor: gives False where everything is missing; expected a number above 0"),
        ("regression", "first(hour, 0)", "training.anchor: gives 0 where everything is missing"),
    ],
)
def test_an_anchor_is_a_number_made_of_features(tmp_path, task, anchor, message):
    fields = use_case_fields(task=task)
    fields["training"] = {"anchor": anchor}
    assert message in refusal(tmp_path, **fields)


def test_a_number_may_have_an_anchor(tmp_path):
    fields = use_case_fields(task="regression")
    fields["training"] = {"anchor": "hour"}
    assert a_use_case(tmp_path, **fields).training.anchor == "hour"


@pytest.mark.parametrize("task", ["binary_classification", "multiclass", "regression"])
def test_each_task_has_a_valid_example(tmp_path, task):
    assert a_use_case(tmp_path, task=task).task == task


@pytest.mark.parametrize("rule", ["weigth > 3", "__import__('os')", "hour >=", "hour.real > 2", "[h for h in hour]"])
def test_a_baseline_that_is_no_rule_is_refused(tmp_path, rule):
    fields = use_case_fields()
    fields["business"]["baseline"] = rule
    assert "business.baseline" in refusal(tmp_path, **fields)


def test_every_problem_is_listed_at_once(tmp_path):
    message = refusal(tmp_path, titel="x", owner="nobody", known_before=3)
    assert len(message.splitlines()) == 3


def test_a_missing_field_is_named(tmp_path):
    fields = use_case_fields()
    del fields["business"]["currency"]
    assert "business.currency: is missing" in refusal(tmp_path, **fields)


def test_a_file_that_is_not_yaml_names_the_line(tmp_path):
    path = write_use_case(tmp_path)
    path.write_text("name: parcels\ntitle: [unclosed\n", encoding="utf-8")
    with pytest.raises(UseCaseError, match=r"use_case\.yaml:\d+: not YAML"):
        load_use_case(path)


def test_a_catalog_lists_the_problems_of_all_folders(tmp_path):
    write_use_case(tmp_path, name="one", titel="x")
    write_use_case(tmp_path, name="two", owner="nobody")
    with pytest.raises(UseCaseError) as caught:
        load_catalog(tmp_path).require_valid()
    assert [problem.where.split("/")[1] for problem in caught.value.problems] == ["one", "two"]


def test_a_catalog_gives_the_others_where_one_is_wrong(tmp_path):
    write_use_case(tmp_path, name="one", titel="x")
    write_use_case(tmp_path, name="two")
    catalog = load_catalog(tmp_path)
    assert catalog.get("two").name == "two"
    with pytest.raises(UseCaseError, match="titel"):
        catalog.get("one")


def test_an_unknown_use_case_names_the_known(tmp_path):
    write_use_case(tmp_path)
    with pytest.raises(UseCaseError, match="known: parcels"):
        load_catalog(tmp_path).get("churn")


def test_the_json_schema_accepts_what_the_reader_accepts(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    assert not list(validator.iter_errors(use_case_fields()))
    assert list(validator.iter_errors(use_case_fields(titel="x")))
    assert a_use_case(tmp_path)
