"""One score is calibrated as many are, to the last bit."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from noria.core.model.calibration import Calibration

unit = st.floats(0, 1)


@given(points=st.lists(st.tuples(unit, unit), min_size=1, max_size=9, unique_by=lambda pair: pair[0]), score=unit)
def test_isotonic(points: list[tuple[float, float]], score: float) -> None:
    scores = tuple(sorted(one for one, _ in points))
    calibration = Calibration(scores=scores, probabilities=tuple(sorted(other for _, other in points)))
    for asked in (score, *scores):
        assert calibration.apply_one(asked) == calibration.apply(np.array([asked]))[0]


@given(score=unit, slope=st.floats(0.1, 5), intercept=st.floats(-3, 3), shift=st.floats(-1e6, 1e6))
def test_the_other_kinds(score: float, slope: float, intercept: float, shift: float) -> None:
    for calibration in (
        Calibration(kind="sigmoid", slope=slope, intercept=intercept),
        Calibration(kind="shift", shift=shift),
        Calibration(),
    ):
        assert calibration.apply_one(score) == calibration.apply(np.array([score]))[0]


def test_what_is_no_number_stays_none() -> None:
    assert math.isnan(Calibration(scores=(0.0, 1.0), probabilities=(0.1, 0.9)).apply_one(math.nan))
