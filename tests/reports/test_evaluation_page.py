import base64
import re
from html.parser import HTMLParser

import pytest

from noria.core.base.formatting import money
from noria.core.lifecycle.evaluation import EvaluationReport, GateResult, LeakageWarning
from noria.core.use_case import GateMode, Task
from noria.reports import evaluation_page
from noria.training.evaluation.report import evaluate
from tests.training.evaluation.evaluated_rows import EXPORT, evaluated_candidate, parcels_of, training_set

pytestmark = pytest.mark.slow

GATES = (
    GateResult(condition="value better than the baseline", found="416 against −399", passed=True, mode=GateMode.ENFORCED,
               evidence="#value"),
    GateResult(condition="roc_auc at least 0.9", found="0.66", passed=False, mode=GateMode.ENFORCED, evidence="#quality"),
    GateResult(condition="recall at least 0.99", found="0.92", passed=False, mode=GateMode.DRY_RUN, evidence="#quality"),
)  # fmt: skip
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would see: texts, tags with attributes, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module", params=list(Task), ids=str)
def judged(request, tmp_path_factory):
    """Use case, report and page of each task."""
    use_case = parcels_of(tmp_path_factory.mktemp("use_cases"), request.param)
    report = evaluate(use_case, evaluated_candidate(use_case, training_set(request.param, 6000)), EXPORT)
    return use_case, report, evaluation_page.render(report, use_case, GATES)


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    use_case = parcels_of(tmp_path_factory.mktemp("use_cases"), Task.BINARY_CLASSIFICATION)
    return use_case, evaluate(use_case, evaluated_candidate(use_case, training_set(use_case.task, 4000)), EXPORT)


def test_the_page_asks_nothing_of_anybody(judged, tmp_path):
    use_case, report, rendered = judged
    path = tmp_path / "new folder" / "evaluation.html"
    evaluation_page.write(report, use_case, path, GATES)
    html = path.read_text(encoding="utf-8")
    assert html == rendered  # the same report gives the same bytes
    page = Page(html)
    assert page.open == []
    assert not page.all("script")
    assert not page.all("link")
    addresses = [tag.get(name) for tag in (*page.all("img"), *page.all("a")) for name in ("src", "href") if tag.get(name)]
    assert len(addresses) > 10
    assert all(str(address).startswith(("data:image/svg+xml;base64,", "#")) for address in addresses)
    assert "url(" not in html
    assert len(html) < 1_000_000


def test_every_place_that_a_gate_can_point_to_is_there(judged):
    page = Page(judged[2])
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(evaluation_page.ANCHORS) <= set(ids)
    linked = {str(tag["href"])[1:] for tag in page.all("a")}
    assert linked <= set(ids)


def test_plots_are_drawings_with_words_for_those_who_cannot_see_them(judged):
    images = Page(judged[2]).all("img")
    assert len(images) >= 4
    for image in images:
        assert len(str(image["alt"])) > 20
        svg = base64.b64decode(str(image["src"]).partition(",")[2])
        assert b"<svg" in svg
        assert b"<text" in svg  # letters, not outlines: the reader's own font
        assert not re.findall(rb'href="http', svg)


def test_money_comes_first(judged):
    _, report, html = judged
    page = Page(html)
    verb = "earn" if report.metrics["value"] >= 0 else "cost"
    assert f"decisions {verb} {money(abs(report.metrics['value']), 'EUR')} per 1,000" in page.text
    baseline = report.reference("baseline")
    assert baseline is not None
    lead = money(baseline.differences["value"].value, "EUR")
    assert f"That is {lead} better than the baseline on the same rows" in page.text
    sections = [tag["id"] for tag in page.all("section")]
    assert sections.index("value") < sections.index("quality")


def test_gates_say_which_passed_and_what_a_failed_one_does(binary):
    use_case, report = binary
    page = Page(evaluation_page.render(report, use_case, GATES))
    assert "value better than the baseline 416 against −399 passed" in page.text
    assert "roc_auc at least 0.9 0.66 failed: stops promotion" in page.text
    assert "recall at least 0.99 0.92 failed, dry run" in page.text
    assert "#value" in {tag["href"] for tag in page.all("a")}
    assert "Condition" not in Page(evaluation_page.render(report, use_case)).text


def test_small_segments_are_shown_as_not_judged(binary):
    use_case, report = binary
    text = Page(evaluation_page.render(report, use_case)).text
    assert "(missing) too few rows to judge" in text
    assert all(name in text for name in ("north", "south", "harbour"))


def test_fairness_is_shown_with_how_sure_it_is(binary):
    use_case, report = binary
    apart = report.fairness[0].intervals["demographic_parity"]
    page = Page(evaluation_page.render(report, use_case))
    assert f"percentage points apart (95 % {100 * apart.low:.1f} to {100 * apart.high:.1f})" in page.text
    by_chance = apart.model_copy(update={"low": -0.013})
    changed = report.fairness[0].model_copy(update={"intervals": {"demographic_parity": by_chance}})
    page = Page(evaluation_page.render(report.model_copy(update={"fairness": (changed,)}), use_case))
    assert f"(95 % −1.3 to {100 * apart.high:.1f}: that may be chance)" in page.text


def test_many_small_segments_are_folded(tmp_path):
    use_case = parcels_of(tmp_path, Task.BINARY_CLASSIFICATION, segments=["street"])
    report = evaluate(use_case, evaluated_candidate(use_case, training_set(use_case.task, 4000)), EXPORT)
    page = Page(evaluation_page.render(report, use_case))
    assert len(page.all("details")) >= 1
    assert re.search(r"\d+ more, too small to judge", page.text)


def test_leakage_is_announced_at_the_top_and_explained(binary):
    use_case, report = binary
    suspects = (
        LeakageWarning(feature="hour", reason="alone it gives ROC AUC 0.99: is it known before the prediction is made?"),
    )
    text = Page(evaluation_page.render(report.model_copy(update={"suspects": suspects}), use_case)).text
    assert "1 feature may know the answer" in text
    assert "alone it gives ROC AUC 0.99" in text
    assert "No feature is too good alone" in Page(evaluation_page.render(report, use_case)).text


def test_what_people_wrote_is_text_and_never_markup(binary):
    use_case, report = binary
    hostile = use_case.model_copy(update={"title": "<script>alert(1)</script> & sons"})
    html = evaluation_page.render(report.model_copy(update={"note": "<b>bold</b>"}), hostile)
    assert not Page(html).all("script")
    assert "&lt;b&gt;bold&lt;/b&gt;" in html


def test_a_report_with_little_in_it_still_makes_a_page(binary):
    use_case, _ = binary
    bare = EvaluationReport(
        start="2024-03-01T00:00:00+00:00", end="2024-04-01T00:00:00+00:00", rows=5, metrics={}, parity=0.0
    )
    page = Page(evaluation_page.render(bare, use_case))
    assert "is undefined" in page.text
    assert "Nobody could be compared with it" in page.text
    assert page.text.count("Not measured.") == 2
