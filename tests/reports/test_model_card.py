import json
from html.parser import HTMLParser

import pytest

from noria.core.base.errors import BundleError
from noria.core.base.formatting import decimal
from noria.core.lifecycle.audit_event import Action
from noria.core.lifecycle.gates import check_gates
from noria.core.model.bundle import specification_digest
from noria.core.use_case import Business, Task
from noria.reports.checklist import ChecklistFacts, compute_checklist
from noria.reports.model_card import brought_up_to_date, make_card
from noria.reports.model_card_files import read_card, write_card
from noria.reports.operations import Operations
from noria.training.evaluation.report import evaluate
from tests.release.test_audit import note
from tests.reports.made_up import JUNE, MAY, a_lineage, a_manifest, a_report, a_whole_use_case, judged
from tests.training.evaluation.evaluated_rows import EXPORT, evaluated_candidate, parcels_of, training_set


class CardPage(HTMLParser):
    """Text, anchors and every address that a browser would fetch."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(content)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.text += " " if tag in ("td", "th", "span") else ""
        self.ids |= {found["id"] or ""} if "id" in found else set()
        self.links += [found["href"] or ""] if tag == "a" else []
        self.fetched += [found[name] or "" for name in ("src", "srcset") if name in found] + ([tag] if tag == "link" else [])

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def use_case(tmp_path):
    return a_whole_use_case(tmp_path)


def a_card(use_case, report=None, **changes):
    fields = {
        "bundle_digest": "b" * 64,
        "written_at": JUNE,
        "gates": judged(use_case),
        "lineage": a_lineage(),
        "params": {"max_depth": "6"},
        "environment": {"python": "3.11", "xgboost": "3.2.0"},
    }
    return make_card(use_case, a_manifest(), report or a_report(), **(fields | changes))


def up_to_date(card, use_case, version, events=()):
    facts = ChecklistFacts(
        use_case=use_case,
        report=card.report,
        gates=card.gates,
        lineage=card.lineage,
        operations=Operations(),
        events=tuple(events),
        version=version,
        now=JUNE,
    )
    return brought_up_to_date(card, version=version, checklist=compute_checklist(facts), events=events, now=JUNE)


def page_of(folder, card) -> CardPage:
    return CardPage(write_card(folder, card).read_text(encoding="utf-8"))


def test_the_card_says_what_it_is_for_made_of_and_worth(use_case, tmp_path):
    page = page_of(tmp_path / "card", up_to_date(a_card(use_case), use_case, ""))
    for words in (
        "EUR 512 more per 1,000 decisions than the baseline",
        "send a warning",
        "Owner logistics@example.com",
        "hour >= 18",
        "12,000 of them positive",
        "2024-01-01 to 2024-06-01 51,234",
        "Gradient boosting, made of what was known on 2024-06-01",
        "calibrated by isotonic",
        "EUR 812 (712 to 912)",
        "perfect foresight",
        "Too few rows to judge: depot moon (100 rows).",
        "0 to 61.5 kg",
        "north, south, harbour",
        "0.120 0.086 to 0.154 0.810 0.560 to 1.06 is undefined",
        "A strike is <never> seen",
        "Watched: recall at least 0.3 in every judged segment, found 0.350 in depot south (1 small one not judged) passed",
        "promoting would cost about EUR 660 a month",
        'noria roll-back parcels --reason "..."',
        "Ready for production? 8 of 12",
        "Judged before it was fitted again on all rows.",
    ):
        assert words in page.text, words


def test_the_page_is_one_file_without_script_whose_links_lead_somewhere(use_case, tmp_path):
    page = page_of(tmp_path / "card", up_to_date(a_card(use_case), use_case, ""))
    assert (page.fetched, page.tags & {"script", "iframe", "object"}) == ([], set())
    inside = [link for link in page.links if link.startswith("#")]
    assert len(inside) == 10
    assert {link[1:] for link in inside} <= page.ids
    assert {link.partition("#")[0] for link in page.links} == {"", "evaluation.html"}


def test_the_card_reads_back_as_it_was_written(use_case, tmp_path):
    card = up_to_date(a_card(use_case), use_case, "3")
    write_card(tmp_path / "card", card)
    back = read_card(tmp_path / "card")
    assert back == card
    assert specification_digest(back.use_case) == specification_digest(use_case)
    assert read_card(tmp_path / "elsewhere") is None


def test_undefined_figures_leave_the_json_sound(use_case, tmp_path):
    nan = float("nan")
    report = a_report()
    segment = report.segments[0].model_copy(update={"metrics": {"value": nan, "recall": 0.7}})
    report = report.model_copy(update={"metrics": {**report.metrics, "brier": nan}, "segments": (segment,)})
    write_card(tmp_path / "card", a_card(use_case, report))

    def refuse(name: str) -> None:
        raise ValueError(name)

    content = json.loads((tmp_path / "card" / "card.json").read_text(), parse_constant=refuse)
    assert "brier" not in content["report"]["metrics"]


def test_what_is_no_card_is_refused(tmp_path):
    (tmp_path / "card.json").write_text('{"format": 2}')
    with pytest.raises(BundleError, match="is not a model card of format 1"):
        read_card(tmp_path)


def test_a_card_that_is_written_again_says_what_has_happened_since(use_case, tmp_path, audit):
    first = a_card(use_case)
    assert "Nothing has happened to it yet" in page_of(tmp_path / "card", first).text
    said = {"approved_by": "ben"}
    note(audit, Action.PROMOTED, "1", "0", MAY)
    note(audit, Action.PROMOTION_INTENDED, "3", "1", JUNE)
    note(audit, Action.PROMOTED, "3", "1", JUNE, evidence=said)
    card = up_to_date(first, use_case, "3", audit.events("parcels"))
    assert [(line.action, line.version, line.approved_by) for line in card.history] == [(Action.PROMOTED, "3", "ben")]
    page = page_of(tmp_path / "card", card)
    assert "approved by ben" in page.text
    assert "champion since 2024-05-01" in page.text
    note(audit, Action.ROLLED_BACK, "1", "3", MAY)
    later = up_to_date(first, use_case, "3", audit.events("parcels"))
    assert "was champion until 2024-05-01, when version 1 took its place" in page_of(tmp_path / "card", later).text
    assert card.report == later.report == first.report


@pytest.mark.parametrize(
    ("task", "value", "words"),
    [
        ("regression", {"over": -1.0, "under": -2.5}, "each unit predicted too low EUR −2.5"),
        (
            "multiclass",
            {name: {"a": 1.0, "b": -2.0, "c": 0.0} for name in "abc"},
            "we decide a, and it is b EUR −2",
        ),
    ],
)
def test_the_other_tasks_have_cards_too(use_case, tmp_path, task, value, words):
    business = Business.model_validate({**use_case.business.model_dump(), "value": value})
    other = use_case.model_copy(update={"task": Task(task), "business": business})
    report = a_report(task=task, metrics={"value": 812.0}, fairness=(), values=())
    page = page_of(tmp_path / "card", up_to_date(a_card(other, report), other, ""))
    assert words in page.text
    assert "depot: not measured" in page.text


def test_a_card_without_lineage_or_money_is_still_a_card(use_case, tmp_path):
    report = a_report(metrics={}, rivals=(), values=(), segments=(), fairness=(), suspects=())
    page = page_of(tmp_path / "card", a_card(use_case, report, lineage=None, gates=()))
    assert "Its money could not be measured" in page.text
    assert "Its lineage was not kept." in page.text


@pytest.mark.parametrize("task", list(Task), ids=str)
def test_what_a_real_evaluation_found_makes_a_sound_card(task, tmp_path):
    use_case = parcels_of(tmp_path, task, protected=["depot"])
    report = evaluate(use_case, evaluated_candidate(use_case, training_set(task, 3000)), EXPORT)
    card = up_to_date(a_card(use_case, report, gates=check_gates(use_case.gates, report)), use_case, "")
    page = page_of(tmp_path / "card", card)
    assert read_card(tmp_path / "card") == card
    apart = [part.intervals["demographic_parity"] for part in report.fairness]
    apart += [part.intervals["mean_error"] for part in report.group_errors if part.judged]
    assert apart
    assert all(f"{decimal(estimate.low)} to {decimal(estimate.high)}" in page.text for estimate in apart)
    assert "NaN" not in (tmp_path / "card" / "card.json").read_text()
    assert "more per 1,000 decisions than the baseline" in page.text
    assert "Too few rows to judge" in page.text
    assert "the model that served" not in page.text  # the baseline serves, and has its own line
    assert "nan" not in page.text.lower().split()
