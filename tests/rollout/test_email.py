"""The e-mail reads well as text and as HTML, says who answers now, and carries no markup from a reason."""

from datetime import UTC, datetime

import pytest

from noria.core.lifecycle.rollout import RolloutEvent, RolloutState
from noria.rollout.email import compose, key_of, recipients_of, rollout_email
from noria.testing.builders import a_use_case
from tests.rollout.test_analysis import a_rollout

URLS = {"airflow_url": "http://airflow/", "serving_url": "http://serving"}


@pytest.fixture
def use_case(tmp_path):
    return a_use_case(tmp_path, monitoring={"email": ["logistics@example.com", "desk@example.com"]})


def the_message(use_case, rollout):
    message = compose(use_case, rollout_email(use_case, rollout, **URLS))
    text, page = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert page is not None
    return message, text.get_content(), page.get_content()


def test_a_step(use_case):
    rollout = a_rollout(bake="2m").model_copy(
        update={"reason": "no harm", "event": RolloutEvent.STEPPED, "step": 1, "revision": 2}
    )
    message, text, page = the_message(use_case, rollout)
    assert message["Subject"] == "[next step] Parcels, version 2: it answers 25 %"
    assert message["To"] == "logistics@example.com, desk@example.com"
    for words in (
        "No harm.",
        "Version 2 answers 25 % of the entities, the same ones each time. Version 1 answers the others",
        "If it does no harm for 2m, it answers 100 %.",
        "noria rollout abort parcels --reason ...",
        "http://airflow/dags/parcels__train",
        "5 %, 25 %, 100 %",
    ):
        assert words in text
        assert words in page
    assert '<code style="font-size:14px">noria rollout abort parcels --reason ...</code>' in page
    assert key_of(rollout) == "rollout/parcels/2/1/2"


def test_a_roll_back_says_that_nothing_has_to_be_done(use_case):
    rollout = a_rollout("0").model_copy(
        update={
            "reason": "in depot <b>north</b> it loses",
            "event": RolloutEvent.ROLLED_BACK,
            "state": RolloutState.ROLLED_BACK,
        }
    )
    message, text, page = the_message(use_case, rollout)
    assert message["Subject"] == "[rolled back] Parcels, version 2: version 0 serves everybody"
    assert "Version 0, the baseline, answers every request, as before." in text
    assert "Nothing has to be done tonight." in text
    assert "<b>north" not in page
    assert "&lt;b&gt;north" in page


@pytest.mark.parametrize(
    ("changes", "badge", "words"),
    [
        (
            {"event": RolloutEvent.STARTED, "shadow": True},
            "rollout started",
            "runs in shadow mode; its answers are not returned",
        ),
        ({"event": RolloutEvent.PAUSED, "state": RolloutState.PAUSED}, "paused", "stays as it is until somebody resumes it"),
        ({"event": RolloutEvent.RESUMED}, "resumed", "it answers 25 %"),
        ({"event": RolloutEvent.WON, "state": RolloutState.FINISHING}, "won", "becomes champion now"),
        (
            {"event": RolloutEvent.COMPLETED, "state": RolloutState.COMPLETED, "promoted": True},
            "completed",
            "answers every request",
        ),
        (
            {"event": RolloutEvent.COMPLETED, "state": RolloutState.COMPLETED},
            "no difference",
            "Version 1 answers every request",
        ),
        ({"event": RolloutEvent.ABORTED, "state": RolloutState.ABORTED}, "aborted", "The next training begins as planned"),
    ],
)
def test_every_turn_has_its_words(use_case, changes, badge, words):
    message, text, page = the_message(use_case, a_rollout(shadow="10m").model_copy(update=changes))
    assert message["Subject"].startswith(f"[{badge}] Parcels, version 2: ")
    assert words in text
    assert words in page


def test_shares_that_stay_say_until_when(use_case):
    rollout = a_rollout(mode="ab", share=40, stop={"at_most": "7d"})
    _, text, _ = the_message(use_case, rollout.model_copy(update={"started_at": datetime(2024, 6, 1, tzinfo=UTC)}))
    assert "at the latest until 2024-06-08; then the champion stays" in text


def test_an_owner_who_also_gets_reports_gets_one_mail(use_case):
    assert recipients_of(use_case) == ("logistics@example.com", "desk@example.com")
