"""docs/training.md shows what a use case may ask for: all of it, and in the words that a use case understands."""

from __future__ import annotations

import re
from typing import get_args

import pytest
import yaml

from noria.core.use_case import CONDITIONS, CandidateName, Gate, MetricName, SearchMetric, SplitBy, Task
from noria.io.catalog import load_use_case
from tests.conftest import PROJECT
from tests.docs.guide import Block, is_part, read_guide

PAGE = PROJECT / "docs" / "training.md"
FOLLOWED = "## Follow one version"
"""`tests/docs/test_add_a_use_case.py` types what comes after it."""
_QUOTED = re.compile(r"# (use_cases/\w+/use_case\.yaml)\n")
_INLINE = re.compile(r"`([^`\n]+)`")
_WORDS = (*CONDITIONS, *get_args(CandidateName), *get_args(MetricName), *get_args(SearchMetric), *SplitBy, *Task)


def explained() -> str:
    return PAGE.read_text(encoding="utf-8").partition(FOLLOWED)[0]


def examples() -> tuple[Block, ...]:
    followed = read_guide(PAGE, after=FOLLOWED)
    return tuple(block for block in read_guide(PAGE) if block.language == "yaml" and block not in followed)


@pytest.fixture(scope="module")
def wet_ramp() -> dict[str, object]:
    blocks = read_guide(PROJECT / "docs" / "add-a-use-case.md")
    (text,) = [block.text for block in blocks if block.path == "use_cases/wet_ramp/use_case.yaml"]
    whole: dict[str, object] = yaml.safe_load(text)
    return whole


def test_what_the_page_quotes_stands_in_the_use_case():
    quoted = [(found[1], yaml.safe_load(block.text)) for block in examples() if (found := _QUOTED.match(block.text))]
    assert [part["task"] for _, part in quoted] == list(Task)
    for path, part in quoted:
        assert is_part(part, yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))), path


def test_a_use_case_may_say_what_the_page_shows(wet_ramp, tmp_path):
    shown = [yaml.safe_load(block.text) for block in examples() if not _QUOTED.match(block.text)]
    assert len(shown) > 3
    path = tmp_path / "wet_ramp" / "use_case.yaml"
    path.parent.mkdir()
    for fields in shown:
        path.write_text(yaml.safe_dump(wet_ramp | fields), encoding="utf-8")
        assert load_use_case(path).name == "wet_ramp"


def test_every_gate_that_the_page_shows_is_valid():
    shown = [
        Gate.model_validate(yaml.safe_load(code)) for code in _INLINE.findall(explained()) if code.startswith("{metric")
    ]
    assert {name for gate in shown for name in gate.conditions} == set(CONDITIONS)
    assert all(len(gate.conditions) == 1 for gate in shown)


def test_the_page_leaves_no_word_of_gates_and_search_out():
    code = set(re.findall(r"\w+", " ".join((*_INLINE.findall(explained()), *(block.text for block in examples())))))
    assert [word for word in _WORDS if word not in code] == []
