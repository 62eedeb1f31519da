"""A use case whose privacy drops what it needs is an error, before any data is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from noria.core.use_case import Privacy
from noria.core.use_case.pseudonym import check_privacy
from noria.testing.builders import a_use_case


@pytest.mark.parametrize(
    ("name", "how", "found"),
    [
        ("depot", "drop", "drops depot, which is a feature: no row will ever have it"),
        ("weight", "drop", "drops weight, which is a feature: no row will ever have it"),
        ("weight", "pseudonymise", "makes a text of weight, which is listed under features.numeric"),
        ("parcel_id", "drop", "drops the entity"),
        ("promised_at", "pseudonymise", "makes a text of the event time"),
        ("late", "drop", "drops the event time or the label"),
    ],
)
def test_privacy_that_drops_what_is_needed_is_an_error(tmp_path: Path, name: str, how: str, found: str) -> None:
    use_case = a_use_case(tmp_path).model_copy(update={"privacy": {name: Privacy(how)}})
    ((where, said, expected),) = check_privacy(use_case)
    assert where == f"privacy.{name}"
    assert said.startswith(found)
    assert expected


def test_what_it_may_take_is_no_problem(tmp_path: Path) -> None:
    privacy = {"depot": "pseudonymise", "parcel_id": "pseudonymise", "weight": "keep", "driver": "drop"}
    assert list(check_privacy(a_use_case(tmp_path, privacy=privacy))) == []
