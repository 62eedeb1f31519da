"""The glossary and the code use the same words."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.conftest import PROJECT
from tests.house.structure import PLACES, modules_of
from tests.house.test_prose import ELSEWHERE, texts
from tests.house.test_structure import public_classes

OURS = [place for place in PLACES if place != "benchmarks"]
WORDS_OF_THE_DESIGN = {
    *("use case", "interval", "snapshot", "encoder", "model bundle", "model version", "trial", "trial queue"),
    *("evaluation input", "evaluation report", "gate", "gate result", "champion", "challenger", "baseline", "promotion"),
    *("approval", "audit event", "rollout", "rollout decision", "prediction record", "feedback", "drift report", "verdict"),
    *("retrain decision", "ledger entry", "model card"),
}


class Entry(NamedTuple):
    """One row of the glossary."""

    word: str
    meaning: str
    class_name: str
    replaced: tuple[str, ...]


@pytest.fixture(scope="module")
def glossary() -> tuple[Entry, ...]:
    lines = (PROJECT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    entries = tuple(
        Entry(word, meaning, name.strip("`"), tuple(filter(None, old.split(", "))))
        for word, meaning, name, old in rows
        if word not in ("word", "---")
    )
    assert len(entries) > 60
    return entries


@pytest.fixture(scope="module")
def classes() -> dict[str, str]:
    return dict(public_classes(modules_of(PROJECT, OURS)))


def test_every_word_of_the_design_is_explained(glossary):
    assert {entry.word for entry in glossary} >= WORDS_OF_THE_DESIGN


def test_every_word_has_one_meaning(glossary):
    words = [entry.word for entry in glossary]
    assert sorted(words) == sorted(set(words))
    assert [entry.word for entry in glossary if not entry.meaning.endswith(".")] == []


def test_every_class_of_the_glossary_exists(glossary, classes):
    named = {entry.class_name.split(".")[0] for entry in glossary if entry.class_name}
    assert named - classes.keys() == set()


def test_words_have_classes_unless_they_are_values(glossary):
    values = {"entity", "as-of date", "approval violation", "initial trials", "warm start"}
    assert {entry.word for entry in glossary if not entry.class_name} == values


def test_replaced_classes_do_not_come_back(glossary, classes):
    names = {name.strip("`") for entry in glossary for name in entry.replaced if name.startswith("`")}
    assert len(names) > 40
    assert {name for name in names | {word.title() for word in plain(glossary)} if name in classes} == set()


def plain(glossary: tuple[Entry, ...]) -> list[str]:
    """The replaced words that no text may use."""
    return [word for entry in glossary for word in entry.replaced if not word.startswith("`")]


def without_code(text: str) -> str:
    """What remains of a text without templates, examples, code face and strings that are one name."""
    text = re.sub(r"\{[^{}]*\}+|`[^`]*`|<[^>]*>|>>>.*|\.\.\. .*|^ +\w+:", " ", text, flags=re.MULTILINE)
    return text if " " in text.strip() else ""


def test_replaced_words_are_in_no_text(glossary):
    words = re.compile(rf"\b({'|'.join(plain(glossary))})(s|d|ed)?\b", re.IGNORECASE)
    assert words.search(without_code("Promises that a model kept")), "planted"
    found = [
        f"{path.relative_to(PROJECT)}:{line}: {text[max(0, hit.start() - 30) : hit.end() + 30]!r}"
        for path, line, whole in texts(PROJECT)
        if not path.relative_to(PROJECT).as_posix().startswith(ELSEWHERE)
        for text in [without_code(whole)]
        for hit in words.finditer(text)
    ]
    assert found == []


def test_replaced_words_have_no_entry_of_their_own(glossary):
    replaced = {word for entry in glossary for word in entry.replaced}
    assert replaced & {entry.word for entry in glossary} == set()
