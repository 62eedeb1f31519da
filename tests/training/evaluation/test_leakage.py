import numpy as np
import pytest

from noria.core.use_case import Task
from noria.testing.builders import use_case_fields
from noria.testing.snapshots import LABELS, made_up_columns
from noria.training.evaluation.report import evaluate
from tests.training.evaluation.judged_rows import EXPORT, fold_of, judged_candidate, parcels_of, training_set

ROWS = 4000


def suspected(root, extra, task=Task.BINARY_CLASSIFICATION):
    """Reasons by feature, with one more feature whose values are given."""
    plain = use_case_fields()["features"]
    numeric = not isinstance(extra[0], str)
    kinds = {"numeric": plain["numeric"] | ({"hint": {}} if numeric else {})}
    kinds["categorical"] = ["depot", "street"] + ([] if numeric else ["hint"])
    use_case = parcels_of(root, task, features=plain | kinds)
    rows = training_set(task, ROWS, hint=extra)
    return {
        suspect.feature: suspect.reason for suspect in evaluate(use_case, judged_candidate(use_case, rows), EXPORT).suspects
    }


def label_of(task):
    return np.asarray(made_up_columns(ROWS)[LABELS[task]])


def judged_part():
    rows = training_set(Task.BINARY_CLASSIFICATION, ROWS)
    return rows.times >= fold_of(rows).validation.times[0]


@pytest.mark.parametrize("task", list(Task), ids=str)
def test_honest_features_are_not_suspected(tmp_path, task):
    noise = np.random.default_rng(5).normal(size=ROWS)
    assert suspected(tmp_path, noise, task) == {}


@pytest.mark.parametrize("task", [Task.BINARY_CLASSIFICATION, Task.REGRESSION], ids=str)
def test_a_number_that_is_the_answer_is_suspected(tmp_path, task):
    hint = label_of(task) + np.random.default_rng(5).normal(0, 0.1, ROWS)
    found = suspected(tmp_path, hint, task)
    assert set(found) == {"hint"}
    assert "is it known before the prediction is made?" in found["hint"]


def test_a_text_that_is_the_answer_is_suspected(tmp_path):
    found = suspected(tmp_path, [f"status {outcome}" for outcome in label_of(Task.MULTICLASS)], Task.MULTICLASS)
    assert "alone it gives ROC AUC 1.00" in found["hint"]


def test_leakage_of_a_number_is_found_in_any_shape(tmp_path):
    late = label_of(Task.BINARY_CLASSIFICATION)
    hint = np.where(late, 0.0, np.random.default_rng(5).choice([-1.0, 1.0], ROWS))  # neither rising nor falling
    assert "hint" in suspected(tmp_path, hint)


def test_a_number_is_suspected_if_its_absence_is_the_answer(tmp_path):
    noise = np.random.default_rng(5).random(ROWS)
    hint = np.where(label_of(Task.BINARY_CLASSIFICATION), np.nan, noise)
    assert "alone it gives ROC AUC 1.00" in suspected(tmp_path, hint)["hint"]


def test_a_feature_that_lost_its_meaning_in_the_judged_rows_is_suspected(tmp_path):
    noise = np.random.default_rng(5).random(ROWS)
    hint = np.where(judged_part(), noise, 0.5 * label_of(Task.BINARY_CLASSIFICATION) + noise)
    assert "its meaning has changed" in suspected(tmp_path, hint)["hint"]


def test_a_feature_that_is_filled_in_afterwards_is_suspected(tmp_path):
    random = np.random.default_rng(5)
    hint = np.where(judged_part() & (random.random(ROWS) < 0.9), np.nan, random.random(ROWS))
    reason = suspected(tmp_path, hint)["hint"]
    assert reason.startswith("known for 100% of earlier rows and ")
    assert "filled in afterwards" in reason
