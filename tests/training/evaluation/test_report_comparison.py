"""Comparisons with baseline and champion, and the draws that their intervals come from."""

import numpy as np
import pytest

from noria.core.model.bundle import baseline_manifest
from noria.core.model.signature import Field, Kind
from noria.core.use_case import Task
from noria.inference.predictor import RulePredictor, baseline_predictor
from noria.training.evaluation.report import evaluate
from tests.training.evaluation.evaluated_rows import EXPORT, evaluated, evaluated_candidate, parcels_of, training_set

pytestmark = pytest.mark.slow


def test_champion_with_a_removed_feature_is_compared_with_it_missing(tmp_path, caplog):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION)
    rule = baseline_manifest(use_case)
    fields = (*rule.signature.fields, Field(name="rain", kind=Kind.NUMERIC))
    gone = rule.model_copy(update={"signature": rule.signature.model_copy(update={"fields": fields}), "rule": "rain > 3"})
    references = (("baseline", "0", baseline_predictor(use_case)), ("champion", "4", RulePredictor(gone)))
    candidate = evaluated_candidate(use_case, training_set(use_case.task, 3000), references=references)
    report = evaluate(use_case, candidate, EXPORT)
    champion = report.reference("champion")
    assert champion is not None
    assert champion.metrics["recall"] == 0
    assert "The champion (version 4) reads rain, which is no feature any more" in report.note
    assert "rain" in caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": Task.REGRESSION}, "was made for another task (regression instead of multiclass)"),
        ({"classes": ("on_time", "late")}, "knows other classes (on_time, late instead of on_time, late, lost)"),
    ],
)
def test_a_champion_that_predicts_something_else_is_not_compared(tmp_path, change, reason):
    use_case = parcels_of(tmp_path, Task.MULTICLASS)
    other = RulePredictor(baseline_manifest(use_case).model_copy(update=change))
    references = (("baseline", "0", baseline_predictor(use_case)), ("champion", "3", other))
    report = evaluate(
        use_case, evaluated_candidate(use_case, training_set(use_case.task, 3000), references=references), EXPORT
    )
    assert report.reference("champion").metrics == {}
    assert "champion" not in {line.name for line in report.values}
    assert f"The champion (version 3) {reason}." in report.note


def test_rows_are_drawn_singly_where_days_are_few_and_by_group_where_rows_are_split_by_group(tmp_path):
    stratified = {"split": {"by": "stratified"}}
    assert evaluated(tmp_path / "a", training=stratified)[1].resampled == "rows"
    grouped = {"split": {"by": "group", "group": "street"}}
    assert evaluated(tmp_path / "b", training=grouped)[1].resampled == "street"


def test_intervals_are_wider_where_rows_of_a_day_resemble_one_another(tmp_path):
    task = Task.BINARY_CLASSIFICATION
    rows = training_set(task, 6000)
    days = rows.times // 86_400_000_000
    labels = np.random.default_rng(3).random(int(days.max()) + 1)[days] < 0.4  # good days and bad days
    alike = type(rows)(rows.columns, labels, rows.times)
    by_day, by_row = (parcels_of(tmp_path / by, task, training={"split": {"by": by}}) for by in ("time", "stratified"))
    widths = []
    for use_case in (by_day, by_row):
        found = evaluate(use_case, evaluated_candidate(use_case, alike), EXPORT).intervals["value"]
        widths.append(found.high - found.low)
    assert widths[0] > 2 * widths[1]


def test_a_strict_gate_gets_enough_draws_to_be_passed(tmp_path):
    gates = [{"metric": "value", "better_than": "baseline", "confidence": 0.999}]
    _, report = evaluated(tmp_path, gates=gates)
    baseline = report.reference("baseline")
    assert baseline is not None
    assert baseline.differences["value"].p_not_better <= 0.001
