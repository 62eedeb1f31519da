"""What README and docs show exists: commands, targets, links, and the quoted use case."""

import re
import subprocess
import sys

import pytest
import typer
import yaml

from noria.cli import app
from noria.core.base import errors
from tests.conftest import PROJECT
from tests.docs.guide import is_part

PAGES = sorted(
    [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("use_cases/*/README.md")]
)
CODE = re.compile(r"```(?:sh|shell|console)\n(.*?)```|`([^`\n]+)`", re.DOTALL)


def commands(program: str) -> set[tuple[str, str]]:
    """First words after a program's name, in code of any page."""
    found = set()
    for page in PAGES:
        for block, inline in CODE.findall(page.read_text(encoding="utf-8")):
            found |= {
                (page.name, word) for word in re.findall(rf"(?:^|\n|&& |\$ ){program} ([a-z][a-z-]*)", block or inline)
            }
    return found


def test_every_make_target_that_is_shown_exists():
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = commands("make")
    assert {"demo", "test"} <= {target for _, target in shown}
    assert [entry for entry in shown if entry[1] not in targets] == []


def test_every_benchmark_that_is_named_exists():
    named = {(page.name, name) for page in PAGES for name in re.findall(r"\bNAME=([a-z_]+)", page.read_text("utf-8"))}
    run = [sys.executable, PROJECT / "scripts" / "benchmarks.py"]
    listed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    there = set(re.findall(r"NAME=(\w+) +\w", listed))
    assert {"serving", "automl", "dag_parse"} <= there
    assert {"serving", "automl"} <= {name for _, name in named}
    assert [entry for entry in named if entry[1] not in there] == []


def test_every_noria_command_that_is_shown_exists():
    known = set(typer.main.get_command(app).commands)
    shown = commands("noria")
    assert {"check", "up", "roll-back"} <= {command for _, command in shown}
    assert [entry for entry in shown if entry[1] not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_into_a_page_leads_to_a_heading(page):
    links = re.findall(r"\]\(([\w./-]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    assert [
        (target, place) for target, place in links if place not in headings(page.parent / target if target else page)
    ] == []


def headings(page):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_quotes_the_shipped_use_case():
    quoted = yaml.safe_load(
        re.search(r"```yaml\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    )
    shipped = yaml.safe_load((PROJECT / "use_cases" / "flight_delays" / "use_case.yaml").read_text(encoding="utf-8"))
    assert is_part(quoted, shipped)


def test_every_error_of_the_library_is_drawn_in_the_tree():
    """The demo's own errors are its own business."""
    sources = [path for path in PROJECT.glob("noria/**/*.py") if not {"demo", "client"} & set(path.parts)]
    found = {
        name for path in sources for name in re.findall(r"^class ([A-Z]\w+Error)\(\w*Error\)", path.read_text("utf-8"), re.M)
    }
    drawn = set(re.findall(r"── (\w+)", errors.__doc__))
    assert {"UseCaseError", "ApprovalError", "PromotionConflictError"} <= drawn
    assert found == drawn
