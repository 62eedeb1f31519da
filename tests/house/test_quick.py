"""What `make quick` runs: every test that needs no server, and none that is slow."""

import re
from types import SimpleNamespace

import pytest

from tests.conftest import PROJECT, QUICK, pytest_collection_modifyitems, pytest_ignore_collect


def item(*fixtures: str, marks: tuple[str, ...] = ()) -> SimpleNamespace:
    """A collected test, with a list of the markers that it is given."""
    given: list[str] = []
    markers = [SimpleNamespace(name=name) for name in marks]
    return SimpleNamespace(
        fixturenames=fixtures,
        iter_markers=lambda: markers,
        add_marker=lambda mark: given.append(mark.name),
        given=given,
    )


def test_make_quick_selects_by_these_markers():
    recipe = re.search(r"^quick:.*?\n\n", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert f'-m "{QUICK}"' in recipe[0]


@pytest.mark.parametrize(
    ("planted", "marked"),
    [
        (item("tmp_path", "warehouse_url", "postgres"), True),
        (item("catcher"), True),
        (item(marks=("e2e",)), True),
        (item("tmp_path", marks=("slow",)), False),
    ],
    ids=["through another fixture", "mail", "by mark", "none"],
)
def test_server_marker_follows_fixtures_and_marks(planted, marked):
    pytest_collection_modifyitems([planted])
    assert planted.given == (["server"] if marked else [])


@pytest.mark.parametrize(
    ("line", "expression", "left_out"),
    [
        ("pytestmark = [pytest.mark.timeout(9), pytest.mark.slow]", QUICK, True),
        ("pytestmark = pytest.mark.e2e", QUICK, True),
        ("pytestmark = pytest.mark.e2e", "", False),
        ("pytestmark = pytest.mark.timeout(9)", QUICK, False),
        ("@pytest.mark.slow\ndef test_one(): ...", QUICK, False),
    ],
)
def test_file_is_left_out_if_all_of_it_is_marked(tmp_path, line, expression, left_out):
    path = tmp_path / "test_planted.py"
    path.write_text(f"import pytest\n\n{line}\n", encoding="utf-8")
    config = SimpleNamespace(option=SimpleNamespace(markexpr=expression))
    assert bool(pytest_ignore_collect(path, config)) is left_out
