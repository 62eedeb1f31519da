"""What the e-mail says, held against a golden file, and in the cases that are easy to get wrong."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from monitoring.email import message as message_module
from monitoring.email.chart import describe_money, draw_money
from monitoring.email.content import ReportEmail, report_email
from monitoring.email.message import attach, compose, render
from noria.core.lifecycle.drift_report import DriftReport, Performance
from noria.core.lifecycle.monitoring_verdict import Verdict
from noria.core.lifecycle.retrain import RetrainDecision
from noria.core.use_case import UseCase
from noria.ports.verdict_store import LedgerRow
from noria.settings import Settings
from noria.testing.builders import a_use_case
from tests.monitoring.conftest import MAY, an_assessment, classes_that_moved, moved, numbers_that_got_worse

FIRST_OF_JUNE = datetime(2013, 6, 1, tzinfo=UTC)

HERE = Path(__file__).parent
GOLDEN = HERE / "report.golden.txt"


@pytest.fixture
def use_case(tmp_path: Path) -> UseCase:
    return a_use_case(tmp_path)


def a_mail(
    use_case: UseCase, assessment: DriftReport, decision: RetrainDecision | None = None, report: str = ""
) -> ReportEmail:
    decision = decision or RetrainDecision(False, "1 of the last 3 verdicts on version 3 ask for it; 2 needed")
    return report_email(use_case, assessment, decision, Settings(), report)


def test_the_text_is_as_agreed(use_case: UseCase) -> None:
    decision = RetrainDecision(True, "2 of the last 3 verdicts on version 3 say drift or loss of quality", FIRST_OF_JUNE)
    mail = a_mail(use_case, an_assessment(), decision, "attached as parcels-2013-05-01-drift.html; open it in a browser.")
    assert render("report.txt", mail=mail) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(("task", "found"), [("regression", numbers_that_got_worse()), ("multiclass", classes_that_moved())])
def test_the_text_of_the_other_tasks_is_as_agreed(tmp_path: Path, task: str, found: DriftReport) -> None:
    text = render("report.txt", mail=a_mail(a_use_case(tmp_path, task=task), found))
    assert text == (HERE / f"report.{task}.golden.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({}, "[drift] Parcels, 2013-05: weight, median 6.2 → 11.9 kg"),
        ({"verdict": Verdict.QUALITY_LOSS}, "[quality loss] Parcels, 2013-05: ROC AUC 0.681, at evaluation 0.710"),
        ({"verdict": Verdict.STABLE}, "[stable] Parcels, 2013-05: EUR +14,747 against the baseline"),
        ({"verdict": Verdict.TOO_FEW_ROWS, "rows": 12}, "[too few rows] Parcels, 2013-05: 12 predictions"),
        (
            {
                "verdict": Verdict.STABLE,
                "version": "0",
                "features": (),
                "prediction": None,
                "label": None,
                "reference_rows": 0,
            },
            "[stable] Parcels, 2013-05: the baseline serves, EUR +11,506",
        ),
    ],
)
def test_the_subject_says_the_verdict_first(use_case: UseCase, changes: dict[str, Any], subject: str) -> None:
    mail = a_mail(use_case, an_assessment(**changes))
    assert mail.subject == subject
    for template in ("report.txt", "report.html"):
        assert mail.period in render(template, mail=mail, chart="c", chart_words="words")


def test_money_is_said_both_ways(use_case: UseCase) -> None:
    assert a_mail(use_case, an_assessment()).cost == (
        "The model's decisions were worth EUR 14,868 more than the baseline's on the same rows. "
        "Per 1,000 decisions it made EUR 186 less than in its own evaluation: EUR 5,181 over this period."
    )
    worse = an_assessment(money=an_assessment().money.model_copy(update={"value": -4_000.0}))
    assert a_mail(use_case, worse).cost.startswith("The model's decisions were worth EUR 638 less than the baseline's")
    unknown = Performance(labelled=0, positives=0, metrics={}, promised={}, baseline={})
    nothing = an_assessment(performance=unknown, money=an_assessment().money.model_copy(update={"labelled": 0}), label=None)
    assert a_mail(use_case, nothing).cost == "No label has arrived yet, so no money can be counted."


@pytest.mark.parametrize(
    ("verdict", "decision", "words"),
    [
        (
            Verdict.DRIFT,
            RetrainDecision(True, "because", FIRST_OF_JUNE),
            "Training is asked for as of 2013-06-01: because.",
        ),
        (Verdict.DRIFT, RetrainDecision(False, "cooldown"), "No training for now: cooldown. The model goes on serving."),
        (Verdict.STABLE, RetrainDecision(False, "nothing to mend"), "Nothing to do. Planned training goes on as scheduled."),
    ],
)
def test_what_happens_next(use_case: UseCase, verdict: Verdict, decision: RetrainDecision, words: str) -> None:
    assert a_mail(use_case, an_assessment(verdict=verdict), decision).next.startswith(words)


def test_text_from_data_cannot_become_html(use_case: UseCase) -> None:
    nasty = an_assessment(features=(moved("depot", 0.5, '<img src="http://evil.example.com">: 1 % → 50 %'),))
    page = render("report.html", mail=a_mail(use_case, nasty), chart="c", chart_words='"><script>')
    assert '<img src="http' not in page
    assert "<script" not in page
    assert "&lt;img" in page


def test_a_line_break_in_a_value_of_the_data_does_not_stop_the_mail(use_case: UseCase) -> None:
    mail = replace(a_mail(use_case, an_assessment()), subject="[drift] depot,\nnew: a\u2028b")
    message = compose(mail, ["a@example.com"], chart=b"", chart_words="", attachment=None)
    assert message["Subject"] == "[drift] depot, new: a b"


def test_the_html_is_made_for_mail_programs(use_case: UseCase) -> None:
    page = render("report.html", mail=a_mail(use_case, an_assessment()), chart="c", chart_words="words")
    for forbidden in ("<style", "<link", "<script", "display:flex", "display:grid", "position:", "data:image"):
        assert forbidden not in page
    assert 'alt="words"' in page
    assert 'content="light"' in page
    assert len(page) < 100_000  # Gmail cuts a message at 102 kB


def test_errors_are_drawn_as_what_they_cost(tmp_path: Path) -> None:
    ledger = [LedgerRow(MAY.start, "1", -9_000, -12_000, 10)]
    assert describe_money(a_use_case(tmp_path, task="regression"), ledger) == (
        "Cost of errors. 2013-05-01: EUR 9,000, baseline EUR 12,000"
    )


def test_the_picture_is_a_png_of_the_same_bytes_every_time(use_case: UseCase) -> None:
    ledger = [LedgerRow(MAY.start, "0", -9_000, -9_000, 10), LedgerRow(MAY.end, "1", 11_506, -3_362, 10)]
    picture = draw_money(use_case, ledger)
    assert picture.startswith(b"\x89PNG")
    assert picture == draw_money(use_case, ledger)
    assert describe_money(use_case, ledger) == (
        "Value of decisions. 2013-05-01: EUR −9,000, baseline EUR −9,000; 2013-06-01: EUR 11,506, baseline EUR −3,362"
    )


def test_a_large_report_is_zipped_and_a_huge_one_stays_where_it_lies(
    tmp_path: Path, use_case: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "drift-1.html"
    report.write_text("<p>" + "drift " * 1_000, encoding="utf-8")
    plain, words = attach(report, "parcels-drift")
    assert plain is not None
    assert (plain.name, words) == ("parcels-drift.html", "attached as parcels-drift.html; open it in a browser.")
    monkeypatch.setattr(message_module, "LARGEST_PLAIN", 1_000)
    zipped, words = attach(report, "parcels-drift")
    assert zipped is not None
    assert zipfile.ZipFile(BytesIO(zipped.content)).read("parcels-drift.html") == report.read_bytes()
    mail = compose(a_mail(use_case, an_assessment()), ["a@example.com"], chart=b"", chart_words="", attachment=zipped)
    assert [part.get_content_type() for part in mail.iter_attachments()] == ["application/zip"]
    monkeypatch.setattr(message_module, "LARGEST", 10)
    assert attach(report, "parcels-drift") == (None, f"too large for a mail; it lies at {report}")
