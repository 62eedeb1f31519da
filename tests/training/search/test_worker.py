"""The search through its public door: what it tries, when it ends, what it says and what it keeps."""

import io
import re

import pytest
from rich.console import Console
from rich.progress import Progress

from noria.cli import training as search_bar
from noria.core.base.errors import NotEnoughDataError
from noria.training.data.splits import search_folds, split_plan
from noria.training.search.budget import Budget
from noria.training.search.initial_trials import first_trials
from noria.training.search.oof_predictions import HeldOutScores
from noria.training.search.plan import search_plan
from noria.training.search.selection import best_trial
from noria.training.search.study import open_study
from noria.training.search.trial import TrialRunner
from noria.training.search.trial_queue import TrialQueue
from noria.training.search.worker import run_worker
from noria.training.search.worker_lock import WorkerLock
from tests.training.conftest import parcels


def initial(use_case, snapshot, champion=None):
    """Kind and hyperparameters of the first trials, for any number of trials."""
    plan = search_plan(use_case, snapshot)
    return first_trials(plan.target, plan.candidates, champion or {})


def test_a_search_tries_every_kind_of_model_and_stops_at_its_trials(use_case, snapshot, searched_url):
    with open_study(search_plan(use_case, snapshot), searched_url) as study:
        tried = {trial.params["candidate"] for trial in study.trials}
        assert tried == {"linear", "gradient_boosting"}
        assert len(study.trials) == 6
    best = best_trial(use_case, snapshot, searched_url)
    assert best.value > 0.4  # three in ten parcels are late
    assert best.candidate in tried


def test_a_second_call_goes_on_with_the_same_study(use_case, snapshot, searched_url):
    again = run_worker(use_case, snapshot, 1, storage_url=searched_url)
    assert again.trials == 0
    assert again.best_value == best_trial(use_case, snapshot, searched_url).value


def test_another_specification_is_another_study(use_case, snapshot, searched_url, tmp_path):
    changed = parcels(tmp_path, training={"seed": 8})
    with pytest.raises(NotEnoughDataError, match="no completed trial: run the search step first"):
        best_trial(changed, snapshot, searched_url)


def test_time_that_runs_out_in_a_trial_gives_that_trial_up(use_case, snapshot, database_url, rows):
    plan = search_plan(use_case, snapshot)
    with open_study(plan, database_url) as study, WorkerLock(plan.study, 0, database_url) as lock:
        queue = TrialQueue(plan, study, lock)
        no_time = Budget(plan.limits, seconds=0.0, began=0.0)
        folds, held_out = search_folds(plan.split, rows), HeldOutScores.of(snapshot, plan.study)
        runner = TrialRunner(plan, study, queue, folds, no_time, held_out)
        runner.run(queue.next_trial())  # nothing is completed yet: it goes on
        runner.run(queue.next_trial())
        first, second = (trial for trial in study.trials if trial.state.name != "WAITING")
    assert (first.state.name, second.state.name) == ("COMPLETE", "PRUNED")
    assert second.user_attrs["ended"] == "in round 10 of fold 1: the time is up"


def test_time_that_is_up_still_gives_one_trial(snapshot, database_url, tmp_path):
    hurried = parcels(tmp_path, training={"minutes": 1e-6})
    result = run_worker(hurried, snapshot, 0, storage_url=database_url)
    assert result.trials == 1
    assert result.best_value is not None


def test_money_that_is_spent_ends_the_search_as_time_does(snapshot, database_url, tmp_path):
    poor = parcels(tmp_path, training={"minutes": 60, "budget": 1e-9, "cost_per_worker_hour": 1.0})
    assert run_worker(poor, snapshot, 0, storage_url=database_url).trials == 1


def test_a_search_begins_with_the_champion_and_then_each_kind_as_it_is(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"trials": 4, "candidates": ["linear", "gradient_boosting", "dummy"]})
    champion = {"candidate": "linear", "linear_c": "0.0123", "linear_smoothing": "7", "seed": "7", "study": "an old one"}
    run_worker(use_case, snapshot, 0, storage_url=database_url, warm_start=champion)
    with open_study(search_plan(use_case, snapshot), database_url) as study:
        first, *rest = study.trials
        assert first.params["linear_c"] == 0.0123
        assert first.params["linear_smoothing"] == 7
        assert [trial.user_attrs["candidate"] for trial in rest] == [
            "dummy",
            "linear",
            "gradient_boosting",
        ]  # the cheapest first


def test_initial_trials_are_defaults_of_every_kind_then_other_starts(use_case, snapshot):
    starts = initial(use_case, snapshot)
    assert search_plan(use_case, snapshot).initial == starts[:6]
    kinds = [kind for kind, _ in starts]
    assert kinds[:2] == ["linear", "gradient_boosting"]
    assert kinds[2:] == ["gradient_boosting"] * 3
    assert len({(kind, *params.items()) for kind, params in starts}) == len(kinds)
    assert {params["trees_one_hot_up_to"] for kind, params in starts if kind != "linear"} == {4, 12, 30}


def test_warm_start_equal_to_defaults_is_tried_once(use_case, snapshot):
    (_, defaults), *_ = initial(use_case, snapshot)
    champion = {"candidate": "linear", **{name: str(value) for name, value in defaults.items()}}
    (_, again), *_ = initial(use_case, snapshot, champion)
    assert again == defaults  # Optuna's skip_if_exists drops the second


def test_the_parameters_of_a_champion_of_another_kind_are_left_out(use_case, snapshot):
    starts = initial(use_case, snapshot)
    assert initial(use_case, snapshot, {"candidate": "baseline"}) == starts
    assert initial(use_case, snapshot, {"candidate": "linear", "linear_c": "much"}) == starts


def test_a_kind_without_hyperparameters_is_tried_once(snapshot, database_url, tmp_path):
    use_case = parcels(tmp_path, training={"candidates": ["dummy"], "trials": 5})
    assert run_worker(use_case, snapshot, 0, storage_url=database_url).trials == 1
    assert best_trial(use_case, snapshot, database_url).candidate == "dummy"


def test_scores_of_completed_trials_are_kept_for_a_blend(use_case, snapshot, rows, database_url, tmp_path):
    blended = parcels(tmp_path, training={"candidates": ["linear", "blend"], "trials": 1})
    result = run_worker(blended, snapshot, 0, storage_url=database_url)
    kept, folds = HeldOutScores.of(snapshot, result.study), search_folds(split_plan(blended), rows)
    count = sum(len(fold.validation) for fold in folds)
    scores = kept.read(0, (count,))
    assert scores.min() >= 0
    assert scores.max() <= 1
    first = len(folds[0].validation)
    measured = search_plan(blended, snapshot).measure.measure(folds[0].validation.labels, scores[:first])
    with open_study(search_plan(blended, snapshot), database_url) as study:
        assert measured == pytest.approx(study.trials[0].user_attrs["folds"][0], abs=1e-4)
    assert kept.read(0, (count + 1,)) is None
    assert kept.read(1, (count,)) is None
    path = kept.folder / "0.npy"
    path.write_bytes(path.read_bytes()[:100])
    assert kept.read(0, (count,)) is None


def test_log_line_of_trial_has_progress_and_budget(snapshot, database_url, tmp_path, caplog):
    use_case = parcels(tmp_path, training={"trials": 2, "budget": 1.0, "cost_per_worker_hour": 6.0, "minutes": 3})
    with caplog.at_level("INFO", "noria.training"):
        run_worker(use_case, snapshot, 0, storage_url=database_url)
    first, second = (record.getMessage() for record in caplog.records if record.getMessage().startswith("trial "))
    pattern = (
        r"trial 0: linear, average_precision 0\.\d+ \(best 0\.\d+\), \d+\.\d s, "
        r"1 of 2 trials, \d\.\d min and EUR 0\.\d\d left, linear_c=0\.1 .*"
    )
    assert re.fullmatch(pattern, first)
    assert "2 of 2 trials" in second


def test_a_trial_s_line_moves_the_bar_in_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    progress = Progress(*search_bar.COLUMNS, console=console)
    bar = progress.add_task("searching", total=40, best="", left="")
    for line in (
        "trial 3: linear, average_precision 0.4123 (best 0.4410), 0.2 s, 3 of 40 trials, 1.5 min and EUR 0.10 left, x=1",
        "trial 4: linear, pruned after fold 1: others are ahead, 0.1 s, 5 of 40 trials, 1.4 min left, linear_c=0.3",
        "trial 2: linear, average_precision 0.4510 (best 0.4510), 0.2 s, 4 of 40 trials, linear_c=0.2",
        "trial 9 was interrupted; offering it again (attempt 1)",
    ):
        search_bar.show_trial(line, progress, bar)
    (task,) = progress.tasks
    assert task.completed == 5  # the line of 4 was overtaken
    assert task.fields["best"] == "best 0.4510"
    printed = screen.getvalue()
    assert "5 of 40 trials, 1.4 min left" in printed
    assert "linear_c" not in printed  # hyperparameters would fill the terminal
    assert "offering it again" in printed
