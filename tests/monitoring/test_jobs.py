"""Monitoring from scored rows to verdict, ledger, mail and retrain request; everything real but the registry."""

from __future__ import annotations

import email
import email.policy
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from monitoring.jobs import decide_retrain, monitor, notify, retraining
from noria.core.base.errors import NoriaError, TransformError
from tests.monitoring.conftest import FIRST, World, day


def rows(world: World, table: str) -> list[Any]:
    with world.services.warehouse.transaction() as connection:
        return list(connection.execute(text(f"select * from {table} order by 1, 2")))


def judge(world: World, number: int, version: str, **moved: float) -> str:
    world.score(day(number), world.draw(1_500, 100 + number, **moved), version)
    return monitor(world.services, world.use_case, day(number)).verdict


def test_a_quiet_day_is_stable(world: World) -> None:
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_500, 7), version)
    result = monitor(world.services, world.use_case, day(0))
    assert (result.version, result.verdict) == ("1", "stable")
    assert "ROC AUC" in result.summary
    (verdict,), (line,) = rows(world, "ops.verdicts"), rows(world, "ops.ledger")
    assert verdict.details["features"][0]["drifted"] is False
    assert verdict.details["performance"]["labelled"] == 1_500
    assert (line.decisions, line.labelled, line.currency) == (1_500, 1_500, "EUR")
    assert line.value > line.baseline_value


def test_a_planted_drift_is_found_named_and_reported(world: World) -> None:
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_500, 7, heavier=9), version)
    result = monitor(world.services, world.use_case, day(0))
    assert result.verdict == "drift"
    details = rows(world, "ops.verdicts")[0].details
    assert details["features"][0]["name"] == "weight"
    assert details["features"][0]["explanation"].startswith("median 6.")
    assert details["features"][0]["explanation"].endswith(" kg")
    assert [feature["drifted"] for feature in details["features"]] == [True, False, False]
    report = Path(result.report)
    assert report == world.folder / "storage" / "reports" / "parcels" / "2024-01-08" / "drift-1.html"
    page = report.read_text(encoding="utf-8")
    assert "<h1" in page
    assert "Parcels, 2024-01-08" in page
    assert str(round(details["features"][0]["distance"], 6))[:6] in page  # Evidently shows our distance
    ids = re.findall(r"root_metric_([\w-]+)", page)
    assert ids  # parts of JavaScript names: with a hyphen in them the page stays blank
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in ids)


def test_a_replay_replaces_and_gives_the_same(world: World) -> None:
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_500, 7, heavier=9), version)
    first = monitor(world.services, world.use_case, day(0))
    report, before = Path(first.report).read_bytes(), (rows(world, "ops.verdicts"), rows(world, "ops.ledger"))
    assert monitor(world.services, world.use_case, day(0)) == first
    assert Path(first.report).read_bytes() == report
    assert (rows(world, "ops.verdicts"), rows(world, "ops.ledger")) == before
    assert [path.name for path in Path(first.report).parent.iterdir()] == ["drift-1.html"]


def test_worthless_scores_are_a_loss_of_quality(world: World) -> None:
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_500, 7, noise=0.8), version)
    result = monitor(world.services, world.use_case, day(0))
    assert result.verdict == "quality_loss"
    details = rows(world, "ops.verdicts")[0].details
    assert details["segments"][0]["segment"] == "depot"
    assert details["segments"][0]["metric"] == "roc_auc"
    assert details["segments"][0]["promised"] > details["segments"][0]["found"]


def test_labels_that_have_not_arrived_count_for_nothing(world: World) -> None:
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_500, 7, noise=0.8), version, labelled=False)
    result = monitor(world.services, world.use_case, day(0))
    assert result.verdict != "quality_loss"
    line = rows(world, "ops.ledger")[0]
    assert (line.decisions, line.labelled, line.value, line.baseline_value) == (1_500, 0, 0, 0)


def test_few_rows_give_no_verdict(world: World) -> None:
    version = world.train(FIRST)
    world.score(day(0), world.draw(299, 7, heavier=9), version)
    assert monitor(world.services, world.use_case, day(0)).verdict == "too_few_rows"


def test_the_rule_has_no_reference_so_only_its_decisions_are_judged(world: World) -> None:
    world.score(day(0), world.draw(1_500, 7, heavier=9), "0")
    result = monitor(world.services, world.use_case, day(0))
    assert (result.version, result.verdict, result.report) == ("0", "stable", "")
    assert "it has no reference set" in result.summary
    assert notify(world.services, world.use_case, day(0)).delivered_now
    assert decide_retrain(world.services, world.use_case, day(0), "run").reason == "the verdict is stable; nothing to mend"


def test_training_is_charged_to_the_interval_of_its_as_of_date(world: World) -> None:
    costs = {"monthly": 304.375, "training_run": 7, "per_1000_predictions": 2}
    business = world.use_case.business.model_copy(update={"costs": world.use_case.business.costs.model_validate(costs)})
    use_case = world.use_case.model_copy(update={"business": business})
    version = world.train(FIRST)
    world.score(day(0), world.draw(1_500, 7), version)
    world.score(day(1), world.draw(1_500, 8), version)
    monitor(world.services, use_case, day(0))
    monitor(world.services, use_case, day(1))
    assert [line.cost for line in rows(world, "ops.ledger")] == [10 + 3 + 7, 10 + 3]


def test_what_was_not_scored_or_was_rebuilt_since_is_an_error(world: World) -> None:
    version = world.train(FIRST)
    with pytest.raises(TransformError, match=r"no batch predictions for \[2024-01-08, 2024-01-09\): run its score step"):
        monitor(world.services, world.use_case, day(0))
    world.score(day(0), world.draw(400, 7), version)
    with world.services.warehouse.transaction() as connection:
        connection.execute(text("delete from features.ftr_parcels where parcel_id like '%9'"))
    with pytest.raises(TransformError, match=r"rebuilt since they were scored \(360 rows now, 400 then\)"):
        monitor(world.services, world.use_case, day(0))
    with pytest.raises(NoriaError, match="there is no verdict on parcels"):
        notify(world.services, world.use_case, day(0))


def test_a_verdict_of_another_release_is_an_error_that_says_what_to_do(world: World) -> None:
    world.judged(0, "drift", world.train(FIRST))
    with world.services.warehouse.transaction() as connection:
        connection.execute(text("""update ops.verdicts set details = details || '{"of_old": 1}'"""))
    with pytest.raises(NoriaError, match="was recorded by another release: run its monitor step again"):
        notify(world.services, world.use_case, day(0))


def the_mail(world: World, message_id: str) -> EmailMessage:
    (found,) = [message for message in world.catcher.messages() if message["message_id"] == message_id]
    source = world.catcher.get(f"/messages/{found['id']}/source.eml")[0]
    message = email.message_from_bytes(source, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_the_mail_has_text_html_picture_and_report(world: World) -> None:
    version = world.train(FIRST)
    judge(world, 0, version)
    judge(world, 1, version, heavier=9)
    result = notify(world.services, world.use_case, day(1))
    assert result.recipients == ("logistics@example.com", "owner@example.com")
    message = the_mail(world, result.message_id)
    assert str(message["Subject"]).startswith("[drift] Parcels, 2024-01-09: weight, median 6.")
    html, plain = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert plain is not None
    page, words = str(html.get_content()), str(plain.get_content())
    assert "1 of the last 3 verdicts on version 1 ask for it; 2 needed" in page
    assert "http://airflow.example.com/dags/parcels__monitor" in page
    assert "weight: median 6." in words
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert [part["Content-ID"] for part in pictures] == ["<money@noria>"]
    assert 'src="cid:money@noria"' in page
    (report,) = message.iter_attachments()
    assert report.get_filename() == "parcels-2024-01-09-drift.html"
    assert report.get_content() == Path(rows(world, "ops.verdicts")[1].report).read_text(encoding="utf-8")


def test_a_report_is_mailed_once_and_again_when_it_says_something_else(world: World) -> None:
    version = world.train(FIRST)
    judge(world, 0, version, heavier=9)
    first = notify(world.services, world.use_case, day(0))
    monitor(world.services, world.use_case, day(0))
    decide_retrain(world.services, world.use_case, day(0), "run")
    again = notify(world.services, world.use_case, day(0))
    assert (first.delivered_now, again.delivered_now) == (True, False)
    assert first.message_id == again.message_id
    judge(world, 0, version)
    corrected = notify(world.services, world.use_case, day(0))
    assert corrected.delivered_now
    assert corrected.message_id != first.message_id
    assert "2024-01-08" in rows(world, "ops.deliveries")[0].key


def test_two_drifts_wake_training_once(world: World) -> None:
    version = world.train(FIRST)
    for number in (0, 1):
        world.judged(number, "drift", version)
    first = decide_retrain(world.services, world.use_case, day(0), "monitor of day 0")
    assert (first.retrain, first.as_of) == (True, day(1).end.isoformat())
    second = decide_retrain(world.services, world.use_case, day(1), "monitor of day 1")
    assert (second.retrain, second.as_of) == (False, day(1).end.isoformat())
    assert second.reason.startswith("already requested by monitor of day 0: 2 of the last 3")
    assert len(rows(world, "ops.retrain_requests")) == 1


def test_a_retried_task_gets_the_answer_it_got_before(world: World) -> None:
    version = world.train(FIRST)
    for number in (0, 1):
        world.judged(number, "drift", version)
        answer = decide_retrain(world.services, world.use_case, day(number), f"run {number}")
    assert answer.retrain
    world.train(day(1).end, seed=2)  # even when the new model is in force by then
    assert decide_retrain(world.services, world.use_case, day(1), "run 1") == answer


def test_verdicts_that_come_out_of_order_wake_training_when_the_case_is_made(world: World) -> None:
    version = world.train(FIRST)
    world.judged(1, "drift", version)
    waiting = decide_retrain(world.services, world.use_case, day(1), "run 1")
    assert (waiting.retrain, waiting.reason) == (False, "1 of the last 3 verdicts on version 1 ask for it; 2 needed")
    world.judged(0, "drift", version)
    foreseen = retraining(world.services, world.use_case).preview(day(0))  # what the mail about that day says
    made = decide_retrain(world.services, world.use_case, day(0), "run 0")
    assert (made.retrain, made.as_of) == (True, day(1).end.isoformat())
    assert (foreseen.as_of, foreseen.reason) == (day(1).end, made.reason)
    assert retraining(world.services, world.use_case).preview(day(0)) == foreseen


def test_two_at_once_ask_once(world: World) -> None:
    version = world.train(FIRST)
    for number in (0, 1):
        world.judged(number, "drift", version)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(decide_retrain, world.services, world.use_case, day(1), f"run {index}") for index in range(4)]
        answers = [future.result() for future in asked]
    assert sorted(answer.retrain for answer in answers) == [False, False, False, True]
    assert len(rows(world, "ops.retrain_requests")) == 1


def test_a_replaced_model_does_not_wake_training(world: World) -> None:
    version = world.train(FIRST)
    for number in (0, 1):
        world.judged(number, "drift", version)
    world.train(FIRST + timedelta(hours=30), seed=2)
    answer = decide_retrain(world.services, world.use_case, day(1), "run")
    assert (answer.retrain, answer.reason) == (False, "the verdict is about version 1, which version 2 has replaced")


def test_cooldown_and_new_labels_hold_back(world: World) -> None:
    version = world.train(FIRST)
    for number in range(4):
        world.judged(number, "drift", version)
    assert decide_retrain(world.services, world.use_case, day(1), "run 1").retrain
    held = decide_retrain(world.services, world.use_case, day(3), "run 3")
    assert held.reason == "cooldown of 3d until 2024-01-13 00:00 UTC since the last request"
    with world.services.warehouse.transaction() as connection:
        connection.execute(text("delete from ops.retrain_requests"))
        connection.execute(text("update labels.lbl_parcels set label_known_at = '2024-06-01'"))
    starved = decide_retrain(world.services, world.use_case, day(3), "run 3")
    assert starved.reason == "0 new labels since version 1; 100 needed"
