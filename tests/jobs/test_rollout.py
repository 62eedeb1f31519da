"""The steps as Airflow and the command line call them: real PostgreSQL with predictions and labels, real SMTP."""

import json
import uuid
from datetime import timedelta
from functools import cached_property

import numpy as np
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from noria.bootstrap import Services
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.rollout import RolloutState
from noria.jobs import rollout
from noria.notify.mailer import SmtpMailer
from noria.settings import Settings
from noria.testing.builders import a_use_case
from noria.testing.clock import NOON, ManualClock
from noria.testing.fakes.registry import InMemoryRegistry
from tests.notify.catcher import mail_catcher
from tests.release.candidates import a_bundle, a_candidate


class WithRegistry(Services):
    """Services whose registry is in memory; everything else is real."""

    registry = InMemoryRegistry()


@pytest.fixture(scope="module")
def catcher(tmp_path_factory):
    with mail_catcher(tmp_path_factory.mktemp("mail")) as catcher:
        yield catcher


@pytest.fixture
def services(warehouse_url, tmp_path, catcher):
    settings = Settings(
        home=tmp_path, use_cases=tmp_path, warehouse_url=SecretStr(warehouse_url), smtp_port=catcher.smtp_port
    )
    WithRegistry.registry = InMemoryRegistry()
    services = WithRegistry(settings=settings, clock=ManualClock())
    yield services
    services.warehouse.close()


@pytest.fixture
def use_case(services, tmp_path):
    services.registry.register_baseline("parcels", *a_bundle(tmp_path / "bundles" / "0", None))
    return a_use_case(tmp_path, rollout={"steps": [50, 100], "bake": "2m", "judge": {"min_rows": 50}})


@pytest.fixture
def candidate(services, use_case, tmp_path):
    first = a_candidate(services.registry, tmp_path, "1")
    services.registry.set_champion("parcels", first.version)
    return a_candidate(services.registry, tmp_path, "2", champion="1")


@pytest.fixture
def catch_up(catcher):
    """Subjects of the mails since the test began."""
    before = len(catcher.messages())
    return lambda: [message["subject"] for message in catcher.messages()[: len(catcher.messages()) - before]][::-1]


def traffic(services, *, lost: float = 0.0, labels: bool = True, rows: int = 1200) -> None:
    """Requests since the rollout began, and the labels that came: of `lost` of its decisions the challenger is wrong."""
    draw = np.random.default_rng(1)
    predictions, outcomes = [], []
    for row in range(rows):
        version = "2" if row % 2 else "1"
        late = bool(draw.random() < 0.3)
        wrong = draw.random() < (lost if version == "2" else 0.0)
        predictions.append(
            {
                "id": str(uuid.uuid4()),
                "version": version,
                "at": services.clock.now() - timedelta(seconds=30),
                "entity": f"P{row}",
                "features": json.dumps({"hour": 19, "depot": "north" if row % 3 else "south"}),
                "score": float(draw.beta(2, 5)),
                "decision": str(late != wrong).lower(),
                "alias": "challenger" if row % 2 else "champion",
            }
        )
        outcomes.append({"entity": f"P{row}", "late": late, "at": services.clock.now() - timedelta(days=2)})
    with services.warehouse.transaction() as connection:
        connection.execute(
            sa.text(
                "insert into ops.predictions (id, use_case, version, requested_at, entity, features, score, decision, "
                "threshold, latency_ms, alias) values (:id, 'parcels', :version, :at, :entity, :features, :score, "
                ":decision, 0.5, 1, :alias)"
            ),
            predictions,
        )
        if labels:
            connection.execute(
                sa.text(
                    "create table labels.lbl_parcels (parcel_id text, promised_at timestamptz, late boolean, "
                    "label_known_at timestamptz)"
                )
            )
            connection.execute(sa.text("insert into labels.lbl_parcels values (:entity, :at, :late, :at)"), outcomes)


def advance(services, use_case, **time):
    services.clock.instant += timedelta(**time)
    return rollout.advance(services, use_case, actor="a task")


def test_a_good_challenger_takes_over_and_the_owner_hears_of_every_step(services, use_case, candidate, catch_up):
    begun = rollout.start(
        services, use_case, PromotionRequest(candidate, actor="ana", reason="trained as of May", allow_breaking=True)
    )
    assert (begun.share, begun.state) == (50, RolloutState.RUNNING)
    assert advance(services, use_case, minutes=2).waiting_for == "more requests: it scored 0 of 50 rows in this step"
    traffic(services, labels=False)
    assert advance(services, use_case, seconds=1).share == 100
    assert advance(services, use_case, minutes=2).waiting_for.startswith("more requests")
    traffic(services, labels=False)
    done = advance(services, use_case, seconds=1)
    assert (done.state, done.promoted) == (RolloutState.COMPLETED, True)
    assert services.registry.champion("parcels").version == "2"
    assert advance(services, use_case) == done
    assert catch_up() == [
        "[rollout started] Parcels, version 2: it answers 50 %",
        "[next step] Parcels, version 2: it answers 100 %",
        "[completed] Parcels, version 2: it serves everybody",
    ]


def test_where_no_app_asks_a_step_ends_by_itself(services, use_case, candidate):
    quiet = use_case.model_copy(update={"rollout": use_case.rollout.model_copy(update={"idle": timedelta(minutes=5)})})
    rollout.start(services, quiet, PromotionRequest(candidate, actor="ana", allow_breaking=True))
    assert advance(services, quiet, minutes=4).waiting_for.startswith("more requests")
    traffic(services, labels=False, rows=40)
    assert advance(services, quiet, minutes=2).waiting_for.startswith("more requests")  # somebody asks, not often
    stepped = advance(services, quiet, minutes=4)
    assert stepped.share == 100
    assert stepped.reason == "nobody asked for 5m; 20 rows against 20 of the champion, 0 with a label"
    assert advance(services, quiet, minutes=4).waiting_for.startswith("more requests")
    assert advance(services, quiet, minutes=1).promoted


def test_challenger_that_loses_money_is_rolled_back_with_its_price(services, use_case, candidate, catch_up):
    rollout.start(services, use_case, PromotionRequest(candidate, actor="ana", allow_breaking=True))
    services.clock.instant += timedelta(seconds=60)
    traffic(services, lost=0.6)
    found = rollout.rollout_status(services, use_case)
    assert (found.rows, found.comparison.worse != "") == (600, True)
    assert rollout.rollout_status(services, use_case) == found  # looking changes nothing
    ended = advance(services, use_case)
    assert ended.state is RolloutState.ROLLED_BACK
    assert "less per decision than version 1" in ended.reason
    assert "a month" not in ended.reason, "a minute is no measure of it"
    assert services.registry.champion("parcels").version == "1"
    assert catch_up()[-1] == "[rolled back] Parcels, version 2: version 1 serves everybody"


def test_labels_that_are_not_known_yet_say_nothing(services, use_case, candidate):
    rollout.start(services, use_case, PromotionRequest(candidate, actor="ana", allow_breaking=True))
    services.clock.instant += timedelta(seconds=60)
    traffic(services, lost=0.6)
    with services.warehouse.transaction() as connection:
        connection.execute(
            sa.text("update labels.lbl_parcels set label_known_at = :later"), {"later": NOON + timedelta(days=9)}
        )
    assert rollout.rollout_status(services, use_case).comparison.worse == ""


def test_pause_resume_and_abort_are_mailed_once_each(services, use_case, candidate, catch_up):
    rollout.start(services, use_case, PromotionRequest(candidate, actor="ana", allow_breaking=True))
    for _ in range(2):
        rollout.pause(services, use_case, actor="ana", reason="a holiday")
    rollout.resume(services, use_case, actor="ana", reason="back")
    for _ in range(2):
        rollout.abort(services, use_case, actor="ana", reason="odd answers")
    assert [subject.split("]")[0] for subject in catch_up()] == ["[rollout started", "[paused", "[resumed", "[aborted"]


class WithoutMail(WithRegistry):
    """Services that find no mail server, and do not wait for one."""

    @cached_property
    def mailer(self):
        settings = self.settings.model_copy(update={"smtp_port": 9})
        return SmtpMailer(settings, self.warehouse.engine, self.clock, sleep=lambda _: None)


def test_a_mail_that_cannot_be_sent_stops_nothing_and_is_sent_later(services, use_case, candidate, catcher):
    silent = WithoutMail(settings=services.settings, clock=services.clock)
    assert (
        rollout.start(silent, use_case, PromotionRequest(candidate, actor="ana", allow_breaking=True)).state
        is RolloutState.RUNNING
    )
    before = len(catcher.messages())
    rollout.advance(services, use_case, actor="a task")
    assert len(catcher.messages()) == before + 1
    silent.warehouse.close()


OTHER_TASKS = {
    "multiclass": ("outcome text", ["on_time", "lost"], "late"),
    "regression": ("minutes_late double precision", [10.0, 30.0], "80.0"),
}


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_the_other_tasks_are_judged_by_their_money_too(services, tmp_path, task):
    """The challenger always says the same; the champion is right."""
    column, came, stubborn = OTHER_TASKS[task]
    use_case = a_use_case(tmp_path / "other", task=task, rollout={"judge": {"min_rows": 50, "score_shift": 1.0}})
    services.registry.register_baseline("parcels", *a_bundle(tmp_path / "bundles" / "0", None))
    a_candidate(services.registry, tmp_path, "1")
    services.registry.set_champion("parcels", "1")
    rollout.start(
        services,
        use_case,
        PromotionRequest(a_candidate(services.registry, tmp_path, "2", champion="1"), actor="ana", allow_breaking=True),
    )
    services.clock.instant += timedelta(seconds=60)
    with services.warehouse.transaction() as connection:
        connection.execute(
            sa.text(
                f"create table labels.lbl_parcels (parcel_id text, promised_at timestamptz, {column}, "
                "label_known_at timestamptz)"
            )
        )
        for row in range(400):
            label, version = came[row // 2 % 2], "2" if row % 2 else "1"
            facts = {
                "id": str(uuid.uuid4()),
                "version": version,
                "at": services.clock.now(),
                "before": services.clock.now() - timedelta(days=2),
                "entity": f"P{row}",
                "decision": stubborn if version == "2" else str(label),
                "label": label,
            }
            connection.execute(
                sa.text(
                    "insert into ops.predictions (id, use_case, version, requested_at, entity, features, score, decision, "
                    "latency_ms) values (:id, 'parcels', :version, :at, :entity, '{}', 0.5, :decision, 1)"
                ),
                facts,
            )
            connection.execute(sa.text("insert into labels.lbl_parcels values (:entity, :before, :label, :before)"), facts)
    found = rollout.rollout_status(services, use_case).comparison
    assert "less per decision than version 1" in found.worse
    assert found.summary.startswith("200 rows against 200 of the champion; money per decision EUR −")
