"""Student's t, held against scipy."""

import math

import pytest
from scipy import stats

from noria.core.stats.student_t import quantile, upper_tail


@pytest.mark.parametrize("freedom", [1.0, 1.7, 3.0, 12.5, 29.0, 400.0])
def test_tail_and_quantile_are_what_scipy_says(freedom):
    for t in (-40.0, -3.2, -0.1, 0.0, 0.7, 2.0, 9.0, 120.0):
        assert upper_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9)
    for probability in (0.001, 0.2, 0.5, 0.9, 0.975, 0.9999):
        assert quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-8, abs=1e-12)


def test_edges():
    assert math.isnan(upper_tail(math.nan, 3))
    assert (upper_tail(math.inf, 3), upper_tail(-math.inf, 3)) == (0.0, 1.0)
    with pytest.raises(ValueError, match="1 is no probability between 0 and 1"):
        quantile(1, 3)
