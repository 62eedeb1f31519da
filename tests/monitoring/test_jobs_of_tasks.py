"""Monitoring of classes and of numbers, from scored rows in PostgreSQL to verdict, ledger, mail and retrain request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from monitoring.jobs import decide_retrain, monitor, notify
from noria.core.use_case import Task
from tests.monitoring.conftest import FIRST, World, day


def test_numbers_from_scored_rows_to_mail_and_retrain_request(world_of: Callable[[Task], World]) -> None:
    world = world_of(Task.REGRESSION)
    version = world.train(FIRST)
    for number in (0, 1):
        world.score(day(number), world.draw(1_000, 100 + number, noise=0.8), version)
        result = monitor(world.services, world.use_case, day(number))
        assert (result.version, result.verdict) == (version, "quality_loss")
        assert result.summary.startswith("quality loss: Weighted percentage error ")
    assert monitor(world.services, world.use_case, day(1)) == result  # a replay replaces and gives the same
    assert "minutes_late (prediction)" in Path(result.report).read_text(encoding="utf-8")
    with world.services.warehouse.transaction() as connection:
        lines = connection.execute(text("select value, baseline_value, labelled from ops.ledger")).all()
    assert len(lines) == 2
    assert all(line.baseline_value < line.value < 0 and line.labelled == 1_000 for line in lines)
    asked = decide_retrain(world.services, world.use_case, day(1), "run")
    assert (asked.retrain, asked.as_of) == (True, day(1).end.isoformat())
    assert notify(world.services, world.use_case, day(1)).delivered_now
    mail = world.catcher.messages()[0]
    assert mail["subject"].startswith("[quality loss] Parcels, 2024-01-09: Weighted percentage error ")
    assert not notify(world.services, world.use_case, day(1)).delivered_now


def test_classes_from_scored_rows_to_mail(world_of: Callable[[Task], World]) -> None:
    world = world_of(Task.MULTICLASS)
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_000, 100, heavier=9, rise=0.7), version)
    result = monitor(world.services, world.use_case, day(0))
    assert (result.version, result.verdict) == (version, "drift")
    assert "ROC AUC 0." in result.summary
    assert "decision (prediction)" in Path(result.report).read_text(encoding="utf-8")
    assert notify(world.services, world.use_case, day(0)).delivered_now


@pytest.mark.parametrize(("task", "words"), [(Task.MULTICLASS, "EUR +"), (Task.REGRESSION, "its errors cost ")])
def test_the_rule_of_every_task_is_judged_and_mailed(task: Task, words: str, world_of: Callable[[Task], World]) -> None:
    world = world_of(task)
    world.score(day(0), world.draw(1_000, 100), "0")
    result = monitor(world.services, world.use_case, day(0))
    assert (result.version, result.verdict, result.report) == ("0", "stable", "")
    assert notify(world.services, world.use_case, day(0)).delivered_now
    assert f"the baseline serves, {words}" in world.catcher.messages()[0]["subject"]
