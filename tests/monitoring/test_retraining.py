"""When verdicts wake training, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from noria.core.base.interval import Cadence, Interval
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import PastVerdict, RetrainEvidence, decide_retrain
from noria.core.use_case import RetrainPolicy

POLICY = RetrainPolicy(after="2 of 3", cooldown=timedelta(days=45), min_new_labels=500)
JULY_FIRST = datetime(2013, 7, 1, tzinfo=UTC)


def month(number: int) -> Interval:
    return Cadence.MONTHLY.interval_starting(datetime(2013, number, 1, tzinfo=UTC))


def past(number: int, verdict: str, version: str = "1") -> PastVerdict:
    return PastVerdict(month(number), version, Verdict(verdict))


def evidence(
    *verdicts: PastVerdict, in_force: str = "1", requests: tuple[datetime, ...] = (), new_labels: int = 9_000
) -> RetrainEvidence:
    return RetrainEvidence(verdicts, in_force, requests, new_labels)


@pytest.mark.parametrize(
    ("given", "retrain", "reason"),
    [
        (
            evidence(past(5, "drift"), past(6, "drift")),
            True,
            "2 of the last 3 verdicts on version 1 say drift or loss of quality",
        ),
        (evidence(past(4, "drift"), past(5, "stable"), past(6, "quality_loss")), True, "2 of the last 3 verdicts"),
        (evidence(past(6, "drift"), past(5, "drift")), True, "2 of the last 3 verdicts"),
        (evidence(past(6, "drift")), False, "1 of the last 3 verdicts on version 1 ask for it; 2 needed"),
        (evidence(past(4, "drift"), past(5, "drift"), past(6, "stable")), False, "the verdict is stable; nothing to mend"),
        (evidence(past(5, "drift"), past(6, "too_few_rows")), False, "the verdict is too few rows; nothing to mend"),
        (evidence(past(4, "drift"), past(6, "drift")), False, "1 of the last 3 verdicts on version 1 ask"),
        (
            evidence(past(5, "drift", "1"), past(6, "drift", "2"), in_force="2"),
            False,
            "1 of the last 3 verdicts on version 2",
        ),
        (
            evidence(past(5, "drift"), past(6, "drift"), in_force="2"),
            False,
            "the verdict is about version 1, which version 2 has replaced",
        ),
        (evidence(past(5, "stable", "0"), past(6, "stable", "0"), in_force="0"), False, "the verdict is stable"),
        (
            evidence(past(5, "drift"), past(6, "drift"), requests=(datetime(2013, 6, 1, tzinfo=UTC),)),
            False,
            "cooldown of 45d until 2013-07-16 00:00 UTC since the last request",
        ),
        (
            evidence(past(5, "drift"), past(6, "drift"), requests=(datetime(2013, 5, 1, tzinfo=UTC),)),
            True,
            "2 of the last 3",
        ),
        (
            evidence(past(5, "drift"), past(6, "drift"), requests=(JULY_FIRST,)),
            False,
            "training was already requested as of 2013-07-01",
        ),
        (
            evidence(past(5, "drift"), past(6, "drift"), requests=(datetime(2013, 8, 1, tzinfo=UTC),)),
            False,
            "training was already requested as of 2013-08-01",
        ),
        (evidence(past(5, "drift"), past(6, "drift"), new_labels=499), False, "499 new labels since version 1; 500 needed"),
        (evidence(), False, "there is no verdict for [2013-06-01, 2013-07-01): monitor it first"),
        (evidence(past(5, "drift")), False, "there is no verdict for"),
    ],
)
def test_decision(given: RetrainEvidence, retrain: bool, reason: str) -> None:
    decision = decide_retrain(POLICY, month(6), given)
    assert decision.retrain is retrain
    assert decision.reason.startswith(reason)
