"""The glossary and the code use the same words."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.conftest import PROJECT
from tests.house.structure import PLACES, modules_of
from tests.house.test_structure import public_classes

OURS = [place for place in PLACES if place != "benchmarks"]
WORDS_OF_THE_DESIGN = {
    *("use case", "interval", "snapshot", "encoder", "model bundle", "model version", "trial", "trial queue"),
    *("evaluation input", "evaluation report", "gate", "gate result", "champion", "challenger", "baseline", "promotion"),
    *("approval", "audit event", "rollout", "rollout decision", "prediction record", "feedback", "drift report", "verdict"),
    *("retrain decision", "ledger entry", "model card"),
}
REPLACED_CLASSES = {
    *("Desk", "Opening", "Terms", "Effort", "GivenUp", "Peers", "Ground", "Goal", "Raised", "Anchored", "Recipe", "Chance"),
    *("Judged", "Outcome", "Rival", "Suspect", "Treatment", "Concerns", "Protector", "Together", "PredictLane", "Visit"),
    *("FeedbackDesk", "Said", "Asked", "Wanted", "Tried", "Predicted", "Behind", "Foreman", "Post", "PatientProtocol"),
    *("Gatekeeper", "Holder", "Ring", "Standing", "Did", "Next", "Turn", "Turned", "Situation", "Letter", "Rehearsal"),
    *("RegisteredModel", "Assessment", "Span", "Refusals", "Facts", "Contender"),
}
"""Class names that the glossary replaced."""


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
    named = {entry.class_name for entry in glossary if entry.class_name}
    assert named - classes.keys() == set()


def test_words_of_the_design_have_classes(glossary):
    without = {entry.word for entry in glossary if not entry.class_name}
    assert without & WORDS_OF_THE_DESIGN == set()


def test_replaced_classes_do_not_come_back(classes):
    assert REPLACED_CLASSES & classes.keys() == set()


def test_replaced_words_have_no_entry_of_their_own(glossary):
    replaced = {word for entry in glossary for word in entry.replaced}
    assert replaced & {entry.word for entry in glossary} == set()
