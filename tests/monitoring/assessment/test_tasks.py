"""Drift report, mail and full report of each of the three tasks, on parcels that never were."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitoring.assessment.assess import assess
from monitoring.assessment.performance import ask_rule
from monitoring.email.content import report_email
from monitoring.email.message import render
from monitoring.email.wording import summarise
from monitoring.evidently_report import write_report
from noria.core.lifecycle.drift_report import DriftReport
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import RetrainDecision
from noria.core.model.bundle import baseline_manifest
from noria.core.model.decision import money
from noria.core.use_case import Task, UseCase
from noria.settings import Settings
from noria.testing.builders import a_use_case
from tests.monitoring.conftest import MAY, MONITORING
from tests.monitoring.made_up import Parcels, a_manifest, as_reference, make_up

pytestmark = pytest.mark.slow

ROWS = 1_500
TASKS = pytest.mark.parametrize("task", list(Task))


def use_case_of(task: Task, folder: Path, **changes: Any) -> UseCase:
    return a_use_case(folder, task=task.value, **{"monitoring": MONITORING, **changes})


def judged(use_case: UseCase, now: Parcels, known: np.ndarray | None = None) -> DriftReport:
    before = make_up(use_case, 4_000, 1)
    return assess(
        use_case,
        MAY,
        version="3",
        manifest=a_manifest(use_case, before),
        rows=now.as_scored(known),
        reference=as_reference(use_case, before),
        training_runs=0,
    )


@TASKS
def test_a_quiet_month_is_stable(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    found = judged(use_case, make_up(use_case, ROWS, 2))
    assert (found.task, found.verdict) == (task, Verdict.STABLE)
    assert not found.drifted
    assert found.prediction is not None
    assert found.label is not None
    assert [found.prediction.drifted, found.label.drifted] == [False, False]
    assert found.quality.found == pytest.approx(found.quality.promised, abs=0.04)
    assert found.money.value > found.money.baseline_value
    assert found.money.value == pytest.approx(found.performance.metrics["value"] * ROWS / 1000, abs=0.02)


@TASKS
def test_worthless_predictions_are_a_loss_of_quality(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    found = judged(use_case, make_up(use_case, ROWS, 2, noise=0.8))
    name, metric = ("Weighted percentage error", "wape") if task is Task.REGRESSION else ("ROC AUC", "roc_auc")
    assert found.verdict is Verdict.QUALITY_LOSS
    assert found.reason.startswith(f"{name} ")
    assert found.quality.metric == metric
    assert found.quality.loss is not None
    assert found.quality.loss > (0.25 if task is Task.REGRESSION else 0.05)
    losses = [segment.quality.loss for segment in found.segments]
    assert len(losses) == 3
    assert None not in losses
    assert losses == sorted(losses, reverse=True)  # the worst first
    assert all(segment.gain_per_1000 is not None for segment in found.segments)


@TASKS
def test_labels_and_predictions_are_named_in_words_of_their_task(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    found = judged(use_case, make_up(use_case, ROWS, 2, heavier=9, rise=0.7))
    assert found.verdict is Verdict.DRIFT
    assert found.prediction is not None
    assert found.label is not None
    assert found.prediction.drifted
    assert found.label.drifted
    prediction, label = {
        Task.BINARY_CLASSIFICATION: ("score: median 0.", "late: yes: 30 % → "),
        Task.MULTICLASS: ("decision: late: ", "outcome: late: "),
        Task.REGRESSION: ("prediction: median 5", "minutes_late: median 5"),
    }[task]
    assert f"{found.prediction.name}: {found.prediction.explanation}".startswith(prediction)
    assert f"{found.label.name}: {found.label.explanation}".startswith(label)


def test_a_number_says_its_unit(tmp_path: Path) -> None:
    use_case = use_case_of(Task.REGRESSION, tmp_path)
    use_case = use_case.model_copy(update={"label": use_case.label.model_copy(update={"unit": "minutes"})})
    found = judged(use_case, make_up(use_case, ROWS, 2, rise=0.7))
    assert found.prediction is not None
    assert found.label is not None
    assert [drift.explanation.split()[-1] for drift in (found.prediction, found.label)] == ["minutes", "minutes"]


@TASKS
def test_rows_without_a_label_are_neither_measured_nor_paid(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    now, known = make_up(use_case, ROWS, 2), np.arange(ROWS) % 3 > 0
    strange = replace(now, labels=np.where(known, now.labels, now.labels[0]).astype(now.labels.dtype))
    found, same = judged(use_case, now, known), judged(use_case, strange, known)
    assert found == same
    assert (found.money.decisions, found.money.labelled, found.performance.labelled) == (ROWS, 1_000, 1_000)
    worth = money(use_case.business.value, now.labels[known], now.decisions[known], use_case.label.classes)
    assert found.money.value == pytest.approx(worth.sum(), abs=0.01)
    nothing = judged(use_case, now, np.zeros(ROWS, dtype=np.bool_))
    assert (nothing.label, nothing.performance.metrics, nothing.quality.loss) == (None, {}, None)
    assert (nothing.money.value, nothing.money.baseline_value) == (0, 0)


@TASKS
def test_the_rule_alone_is_judged_by_its_money(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    now = make_up(use_case, ROWS, 2)
    rule = ask_rule(use_case, now.columns)
    rows = replace(now.as_scored(), scores=rule.scores, decisions=rule.decisions)
    manifest = baseline_manifest(use_case)
    found = assess(use_case, MAY, version="0", manifest=manifest, rows=rows, reference=None, training_runs=0)
    assert (found.verdict, found.features, found.prediction, found.label) == (Verdict.STABLE, (), None, None)
    assert found.money.value == found.money.baseline_value
    assert found.performance.metrics["value"] == found.performance.baseline["value"]
    page = letter_of(use_case, found)
    assert "No model has beaten it yet" in page
    assert summarise(found).startswith("stable: the baseline serves")


@pytest.mark.parametrize(
    ("task", "rule", "decision"),
    [(Task.BINARY_CLASSIFICATION, "1 == 2", False), (Task.MULTICLASS, "'late'", 1), (Task.REGRESSION, "95", 95.0)],
)
def test_a_rule_that_reads_nothing_answers_for_every_row(task: Task, rule: str, decision: object, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    use_case = use_case.model_copy(update={"business": use_case.business.model_copy(update={"baseline": rule})})
    for rows in (1, 7):
        assert ask_rule(use_case, make_up(use_case, rows, 1).columns).decisions.tolist() == [decision] * rows


def test_class_that_the_baseline_names_is_decided_on_at_any_price(tmp_path: Path) -> None:
    use_case = use_case_of(Task.MULTICLASS, tmp_path)
    value = {decided: dict.fromkeys(use_case.label.classes, float(decided == "lost")) for decided in use_case.label.classes}
    business = use_case.business.model_copy(update={"baseline": "'late'", "value": value})
    answers = ask_rule(use_case.model_copy(update={"business": business}), {"hour": [9.0, 19.0]})
    assert answers.decisions.tolist() == [1, 1]


def test_where_the_rule_has_no_number_it_says_what_it_says_of_nothing(tmp_path: Path) -> None:
    use_case = use_case_of(Task.REGRESSION, tmp_path)
    business = use_case.business.model_copy(update={"baseline": "weight * 2 if hour > 12 else 30"})
    columns = {"weight": np.array([4.0, np.nan, np.nan]), "hour": np.array([13.0, 13.0, 9.0])}
    answers = ask_rule(use_case.model_copy(update={"business": business}), columns)
    assert answers.decisions.tolist() == [8.0, 30.0, 30.0]


@TASKS
def test_the_mail_speaks_of_the_task(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    page = letter_of(use_case, judged(use_case, make_up(use_case, ROWS, 2, noise=0.8)))
    said = {
        Task.BINARY_CLASSIFICATION: ("ROC AUC", "Precision", "Recall", "Decisions were worth", "scores moved by"),
        Task.MULTICLASS: ("ROC AUC", "Log loss", "Accuracy", "Decisions were worth", "decisions moved by"),
        Task.REGRESSION: (
            "Weighted percentage error",
            "Mean absolute error",
            "Bias (+ too high)",
            "Errors cost",
            "predictions moved by",
        ),
    }
    assert all(words in page for words in said[task])
    foreign = {words for other in Task if other is not task for words in said[other]} - set(said[task])
    assert [words for words in foreign if words in page] == []
    assert "−0 " not in page
    assert "nan" not in page


@TASKS
def test_the_report_draws_predictions_and_labels_as_what_they_are(task: Task, tmp_path: Path) -> None:
    use_case = use_case_of(task, tmp_path)
    before, now, known = make_up(use_case, 600, 1), make_up(use_case, 600, 2, rise=1), np.arange(600) % 5 > 0
    found = judged(use_case, now, known)
    pages = [tmp_path / "once.html", tmp_path / "again.html"]
    signature = baseline_manifest(use_case).signature
    for page in pages:
        write_report(page, use_case, found, signature, before.as_scored(), now.as_scored(known), title="Parcels, May 2013")
    once, again = (page.read_text(encoding="utf-8") for page in pages)
    assert once == again
    drawn = re.findall(r"Drift in column (?:&#39;|\\u0027|')([^'&\\]+)", once)
    prediction = {Task.BINARY_CLASSIFICATION: "score", Task.MULTICLASS: "decision", Task.REGRESSION: "minutes_late"}[task]
    assert set(drawn) == {f"{prediction} (prediction)", use_case.label.column}
    assert "width=device-width" not in once.split("<style", 1)[0]  # Evidently cuts off what is too narrow for it


def letter_of(use_case: UseCase, found: DriftReport) -> str:
    decision = RetrainDecision(False, "1 of the last 3 verdicts on version 3 ask for it; 2 needed")
    mail = report_email(use_case, found, decision, Settings(), "")
    assert mail.reason in render("report.html", mail=mail, chart="c", chart_words="words")
    return render("report.txt", mail=mail)
