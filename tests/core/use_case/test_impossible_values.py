"""Money and limits that can decide nothing, or the wrong way round, are named by `noria check`."""

import math

import numpy as np
import pytest

from noria.core.base.errors import UseCaseError
from noria.core.metrics.ranked import RankedRows
from noria.testing.builders import a_use_case

MONEY = {"true_positive": 5, "false_positive": -1, "false_negative": -3, "true_negative": 0}


def business(**money):
    return {
        "decision": "call",
        "currency": "EUR",
        "value": MONEY | money,
        "baseline": "hour >= 18",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"business": business(true_positive=-9, false_positive=4)}, "acting pays only where it does not happen"),
        ({"business": business(true_positive=-9)}, "acting never pays"),
        ({"business": business(true_positive=math.nan)}, r"business\.value"),
        ({"business": business(true_positive=math.inf)}, r"business\.value"),
        ({"monitoring": {"recipients": ["a@example.com"], "drift": {"effect_size": 1.5}}}, "effect_size"),
        ({"monitoring": {"recipients": ["a@example.com"], "drift": {"metric_drop": 2}}}, "metric_drop"),
    ],
)
def test_value_that_can_decide_nothing_is_refused(tmp_path, changes, message):
    with pytest.raises(UseCaseError, match=message):
        a_use_case(tmp_path, **changes)


def test_metrics_of_scores_that_are_not_numbers_are_undefined():
    ranked = RankedRows.of(np.array([True, False, True]), np.array([0.9, math.nan, 0.1]))
    assert math.isnan(ranked.roc_auc())
    assert math.isnan(ranked.average_precision())
