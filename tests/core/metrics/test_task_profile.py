import pytest

from noria.core.metrics.task_profile import profile_of, search_metric
from noria.core.use_case import Task
from noria.core.use_case.metric_catalog import DEFINITIONS, gate_metrics, search_metrics
from noria.testing.builders import a_use_case


@pytest.mark.parametrize("task", list(Task))
def test_metrics_of_a_profile_are_those_of_its_task(task):
    profile = profile_of(task)
    assert profile.metrics[0] == profile.headline
    assert {profile.headline, profile.interval_metric, *profile.metrics} <= set(gate_metrics(task))
    assert profile.search_metric in search_metrics(task)


@pytest.mark.parametrize(
    ("task", "headline"), [(Task.BINARY_CLASSIFICATION, "roc_auc"), (Task.MULTICLASS, "roc_auc"), (Task.REGRESSION, "wape")]
)
def test_headline(task, headline):
    assert profile_of(task).headline == headline


def test_search_metric_is_the_one_that_the_use_case_names_else_the_task_s(tmp_path):
    assert search_metric(a_use_case(tmp_path / "default")) == "average_precision"
    assert search_metric(a_use_case(tmp_path / "named", training={"metric": "log_loss"})) == "log_loss"


def test_every_metric_that_a_gate_names_is_of_some_task():
    assert {name for task in Task for name in gate_metrics(task)} == {name for name in DEFINITIONS if name != "pinball"}
