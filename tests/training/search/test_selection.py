"""What the search settles on, and what decides it: metrics, pruning, blends, finals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from noria.core.metrics.task_profile import search_metric
from noria.core.use_case import Task
from noria.testing.snapshots import made_up_columns, write_snapshot
from noria.training.bundle.environment import record_environment
from noria.training.data.dataset import read_snapshot, snapshot_schema
from noria.training.data.sampling import Sampling
from noria.training.data.search_metric import search_measure
from noria.training.data.splits import search_folds, split_plan
from noria.training.data.target import PredictionTarget, target_of
from noria.training.search.budget import Budget, SearchLimits, search_limits
from noria.training.search.oof_predictions import HeldOutScores, forget_search
from noria.training.search.plan import search_plan
from noria.training.search.pruning import FEWEST, Pruner
from noria.training.search.selection import best_trial, select
from noria.training.search.study import open_study
from noria.training.search.worker import run_plan, run_worker
from tests.training.conftest import AS_OF, parcels, parcels_of
from tests.training.data.test_splits import MULTICLASS, REGRESSION


def measure(tmp_path, metric: str | None, **task):
    use_case = parcels(tmp_path, training={"metric": metric} if metric else {}, **task)
    return search_measure(search_metric(use_case), target_of(use_case))


@pytest.mark.parametrize(
    ("metric", "direction", "same_as"),
    [
        (None, "maximize", sklearn_metrics.average_precision_score),
        ("roc_auc", "maximize", sklearn_metrics.roc_auc_score),
        ("log_loss", "minimize", sklearn_metrics.log_loss),
    ],
)
def test_binary_search_metrics_are_those_of_scikit_learn(tmp_path, metric, direction, same_as):
    random = np.random.default_rng(0)
    labels, scores = random.random(300) < 0.4, random.random(300)
    found = measure(tmp_path, metric)
    assert found.direction == direction
    assert found.measure(labels, scores) == pytest.approx(same_as(labels, scores))


@pytest.mark.parametrize(
    ("metric", "direction", "same_as"),
    [
        (None, "minimize", sklearn_metrics.log_loss),
        ("accuracy", "maximize", lambda labels, scores: sklearn_metrics.accuracy_score(labels, scores.argmax(axis=1))),
        (
            "macro_f1",
            "maximize",
            lambda labels, scores: sklearn_metrics.f1_score(labels, scores.argmax(1), average="macro"),
        ),
        ("roc_auc", "maximize", lambda labels, scores: sklearn_metrics.roc_auc_score(labels, scores, multi_class="ovr")),
    ],
)
def test_multiclass_search_metrics_are_those_of_scikit_learn(tmp_path, metric, direction, same_as):
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 3, 300), random.dirichlet([1, 1, 1], 300)
    found = measure(tmp_path, metric, **MULTICLASS)
    assert found.direction == direction
    assert found.measure(labels, scores) == pytest.approx(same_as(labels, scores))


@pytest.mark.parametrize(
    ("metric", "same_as"),
    [
        (None, sklearn_metrics.root_mean_squared_error),
        ("mae", sklearn_metrics.mean_absolute_error),
        # Under costs twice what over does: the quantile that costs least is two thirds.
        ("pinball", lambda labels, scores: sklearn_metrics.mean_pinball_loss(labels, scores, alpha=2 / 3)),
    ],
)
def test_regression_search_metrics_are_those_of_scikit_learn(tmp_path, metric, same_as):
    random = np.random.default_rng(0)
    labels, scores = random.normal(size=300), random.normal(size=300)
    found = measure(tmp_path, metric, **REGRESSION)
    assert found.direction == "minimize"
    assert found.measure(labels, scores) == pytest.approx(same_as(labels, scores))


def test_the_pinball_loss_is_least_at_its_quantile():
    labels = np.random.default_rng(0).gamma(2.0, 5.0, 2000)
    loss = search_measure("pinball", PredictionTarget(Task.REGRESSION, quantile=0.8)).measure
    losses = {share: loss(labels, np.full(2000, np.quantile(labels, share))) for share in (0.6, 0.7, 0.8, 0.9)}
    assert min(losses, key=losses.__getitem__) == 0.8


def curve(*values: float) -> list[tuple[int, float]]:
    return [(50 * (place + 1), value) for place, value in enumerate(values)]


def test_a_flat_curve_below_the_middle_is_hopeless_and_a_steep_one_is_not():
    pruner = Pruner([(0.8, 0.8)] * FEWEST, lower_is_better=False)
    assert pruner.should_prune_in_fold(0, curve(0.60, 0.61))
    assert not pruner.should_prune_in_fold(0, curve(0.60, 0.70))  # three times as much again is 1.0
    assert not pruner.should_prune_in_fold(0, curve(0.60))
    assert not pruner.should_prune_in_fold(0, curve(0.80, 0.81))
    losses = Pruner([(0.3, 0.3)] * FEWEST, lower_is_better=True)
    assert losses.should_prune_in_fold(0, curve(0.50, 0.49))
    assert not losses.should_prune_in_fold(0, curve(0.50, 0.44))


def test_pruner_with_few_completed_trials_keeps_all():
    few = Pruner([(0.8, 0.8)] * (FEWEST - 1), lower_is_better=False)
    assert not few.should_prune_in_fold(0, curve(0.1, 0.1))
    assert not few.should_prune_after_fold([0.1])
    enough = Pruner([(0.8, 0.8)] * FEWEST, lower_is_better=False)
    assert enough.should_prune_after_fold([0.1])
    assert not enough.should_prune_after_fold([0.9])


def test_search_prunes_worse_trials(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"trials": 16, "candidates": ["linear"]})
    run_worker(use_case, snapshot, 0, storage_url=database_url)
    with open_study(search_plan(use_case, snapshot), database_url) as study:
        given_up = [trial for trial in study.trials if trial.state.name == "PRUNED"]
        completed = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(given_up) + len(completed) == 16
    assert len(completed) >= FEWEST
    assert given_up
    assert all("others are ahead" in trial.user_attrs["ended"] for trial in given_up)


def test_budget_counts_down_in_time_and_money(tmp_path):
    priced = {"minutes": 5, "workers": 2, "cost_per_worker_hour": 6.0, "budget": 0.5, "trials": 8}
    limits = search_limits(parcels(tmp_path / "priced", training=priced))
    assert (limits.trials, limits.seconds) == (8, 150)
    assert Budget.of(limits, spent=0).left == pytest.approx(150, abs=5)
    assert Budget.of(limits, spent=100).left == pytest.approx(50, abs=5)
    assert Budget.of(limits, spent=0).in_words() in ("2.5 min and EUR 0.50 left", "2.5 min and EUR 0.49 left")
    by_time = search_limits(parcels(tmp_path / "by_time", training={"minutes": 5}))
    assert Budget.of(by_time, spent=301).in_words() == "0.0 min left"
    assert Budget.of(SearchLimits(8), spent=0).left == math.inf
    assert Budget.of(SearchLimits(8), spent=0).in_words() == ""


def test_the_search_ends_in_a_blend_where_that_is_better(snapshot, database_url, tmp_path):
    """Two halves of the truth, kept as the scores of two trials: their blend beats either by far."""
    use_case = parcels(tmp_path, training={"candidates": ["linear", "blend"], "trials": 2})
    result = run_worker(use_case, snapshot, 0, storage_url=database_url)
    kept = HeldOutScores.of(snapshot, result.study)
    folds = search_folds(split_plan(use_case), read_snapshot(snapshot_schema(use_case), snapshot))
    labels = np.concatenate([fold.validation.labels for fold in folds])
    random = np.random.default_rng(0)
    for number in (0, 1):
        odds = np.where(labels, 1.0, -1.0) + random.normal(0, 2, len(labels))
        kept.keep(number, [1 / (1 + np.exp(-odds))])
    best = best_trial(use_case, snapshot, database_url)
    assert best.candidate == "blend"
    assert {member.number for member in best.members} == {0, 1}
    assert sum(member.weight for member in best.members) == pytest.approx(1)
    assert best == best_trial(use_case, snapshot, database_url)
    forget_search(use_case, snapshot)
    assert not kept.folder.exists()
    assert best_trial(use_case, snapshot, database_url) == best, "the study knows what its trials came to"


def test_a_search_whose_scores_were_lost_makes_do_without_a_blend(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"candidates": ["linear", "blend"], "trials": 2})
    result = run_worker(use_case, snapshot, 0, storage_url=database_url)
    other = HeldOutScores.of(snapshot, "another study")
    other.keep(0, [np.zeros(3)])
    forget_search(use_case, snapshot)
    assert not HeldOutScores.of(snapshot, result.study).folder.exists()
    assert other.read(0, (3,)) is not None, "what another study of the same snapshot keeps stays"
    assert best_trial(use_case, snapshot, database_url).candidate == "linear"
    other.forget()
    other.forget()


def test_a_search_on_a_sample_ends_with_a_final_on_all_rows(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"candidates": ["gradient_boosting"], "trials": 4})
    plan = replace(search_plan(use_case, snapshot), sampling=Sampling(many_rows=8000, sample_rows=4000))
    run_plan(plan, 0, database_url)
    best = select(plan, database_url)
    with open_study(plan, database_url) as study:
        finals = {name: facts for name, facts in study.user_attrs.items() if name.startswith("final_")}
        on_sample = study.trials[best.number].user_attrs["taught"]
    assert len(finals) == 3
    won = finals[f"final_{best.number}"]
    assert best.value == won["value"] == max(facts["value"] for facts in finals.values())
    assert best.params["trees_rounds"] == won["taught"]["trees_rounds"]
    assert on_sample.keys() == won["taught"].keys()
    assert select(plan, database_url) == best  # cached: nothing is fitted again


def test_final_of_more_rows_than_memory_holds_uses_an_even_sample(database_url, tmp_path):
    use_case = parcels_of(Task.REGRESSION, tmp_path, training={"candidates": ["gradient_boosting"], "trials": 1})
    snapshot = write_snapshot(tmp_path / "snapshots", use_case, made_up_columns(3000), AS_OF)
    plan = replace(search_plan(use_case, snapshot), sampling=Sampling(many_rows=3000, sample_rows=900), most_in_memory=1000)
    run_plan(plan, 0, database_url)
    assert select(plan, database_url).params["trees_rows"] == 1000


def test_a_champion_that_is_a_blend_lends_its_members(snapshot, tmp_path):
    use_case = parcels(tmp_path)
    champion = {
        "candidate": "blend",
        "member_1": "linear of trial 3, weight 0.40",
        "member_1_linear_c": "0.5",
        "member_2": "gradient_boosting of trial 9, weight 0.60",
        "member_2_trees_depth": "4",
        "member_2_trees_rounds": "120",
    }
    (one, linear), (other, trees), *_ = search_plan(use_case, snapshot, champion).initial
    assert (one, linear["linear_c"]) == ("linear", 0.5)
    assert (other, trees["trees_depth"]) == ("gradient_boosting", 4)
    assert isinstance(trees["trees_depth"], int)
    assert "trees_rounds" not in trees


def test_the_environment_of_a_run_is_written_down(use_case):
    recorded = record_environment(use_case.training)
    assert {"python", "numpy", "xgboost", "scikit-learn", "onnx", "optuna", "search_threads", "seed"} <= recorded.keys()
    assert recorded["seed"] == "7"
    assert all(isinstance(value, str) and value for value in recorded.values())
    assert record_environment() == {name: recorded[name] for name in record_environment()}
    json.dumps(recorded)
