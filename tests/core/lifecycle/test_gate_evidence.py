"""Less evidence never passes where more is asked for, and the worst of many is not refused for being the worst."""

import numpy as np
import pytest

from noria.core.lifecycle.evaluation import Difference, Estimate, ReferenceResult, SegmentMetrics
from tests.core.lifecycle.test_gates import a_report, judge


@pytest.mark.parametrize("condition", ["better_than", "not_worse_than"])
def test_comparison_of_unknown_certainty_fails(condition):
    bare = ReferenceResult(name="champion", version="3", metrics={"value": 600.0})
    result = judge(a_report(rivals=(bare,), resampled="days"), metric="value", **{condition: "champion"})
    assert (result.passed, result.low) == (False, None)
    assert result.found == (
        "812 against 600 per 1,000 of version 3; how sure that is cannot be known from so few days with every outcome"
    )


def test_champion_is_compared_on_rows_that_it_has_not_seen():
    better = Difference(value=0.03, low=0.01, high=0.05, p_not_better=0.004, error=0.01, freedom=20.0)
    champion = ReferenceResult(
        name="champion",
        version="3",
        metrics={"roc_auc": 0.66},
        differences={"roc_auc": better},
        rows=900,
        candidate={"roc_auc": 0.69},
    )
    result = judge(a_report(rivals=(champion,)), metric="roc_auc", better_than="champion")
    assert result.passed
    assert result.found == (
        "0.690 against 0.660 of version 3 (+0.030, 95 % +0.010 to +0.050) on the 900 rows that it has not seen"
    )
    gone = ReferenceResult(name="champion", version="3", metrics={}, note="the champion has seen all but 7 of these rows")
    result = judge(a_report(rivals=(gone,)), metric="roc_auc", not_worse_than="champion", margin=1.0)
    assert (result.passed, result.found) == (False, "0.710, but the champion has seen all but 7 of these rows")


def segments_of(figures, error):
    estimates = {
        value: Estimate(value=value, low=value - 2 * error, high=value + 2 * error, error=error, freedom=20.0)
        for value in figures
    }
    return tuple(
        SegmentMetrics(
            segment="depot",
            value=f"d{place}",
            rows=200,
            judged=True,
            metrics={"recall": value},
            intervals={"recall": estimates[value]},
        )
        for place, value in enumerate(figures)
    )


def test_worst_of_many_segments_is_not_refused_for_being_the_worst():
    draw, refused = np.random.default_rng(1), 0
    for _ in range(200):
        figures = [0.6 + 0.1 * one for one in draw.normal(size=30).tolist()]
        refused += not judge(
            a_report(segments=segments_of(figures, 0.1)), metric="recall", worst_segment_at_least=0.6
        ).passed
    assert refused <= 0.05 * 200 + 6
    clear = segments_of([0.6] * 29 + [0.1], 0.1)
    result = judge(a_report(segments=clear), metric="recall", worst_segment_at_least=0.6)
    assert (result.passed, result.found) == (False, "0.100 (95 % −0.100 to 0.300) in depot d29")
    close = judge(a_report(segments=segments_of([0.6, 0.5], 0.1)), metric="recall", worst_segment_at_least=0.6)
    assert close.passed
    assert close.found.endswith("in depot d1, which may be chance: it is the worst of 2")


def test_metric_that_leaves_many_rows_out_does_not_pass_by_silence():
    few = judge(a_report(rows=1000, metrics={"mape": 0.1}, left_out={"mape": 20}), metric="mape", at_most=0.2)
    assert few.passed
    assert few.found.endswith("; 20 of 1,000 rows are left out, whose label is 0")
    many = judge(a_report(rows=1000, metrics={"mape": 0.1}, left_out={"mape": 400}), metric="mape", at_most=0.2)
    assert not many.passed
    assert "too many, take a metric such as wape" in many.found
