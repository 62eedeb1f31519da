import math

import numpy as np
import pytest

from noria.core.errors import RuleError
from noria.core.rule import Rule


@pytest.mark.parametrize(
    ("expression", "row", "expected"),
    [
        ("hour >= 18", {"hour": 18}, 1.0),
        ("hour >= 18", {"hour": 17.9}, 0.0),
        ("6 <= hour < 9", {"hour": 7}, 1.0),
        ("hour >= 18 and carrier in ('UA', 'AA')", {"hour": 20, "carrier": "UA"}, 1.0),
        ("carrier not in ('UA', 'AA')", {"carrier": "DL"}, 1.0),
        ("not hour >= 18", {"hour": 3}, 1.0),
        ("delay + 2 * hour > 40 or carrier == 'HA'", {"delay": 1, "hour": 20, "carrier": "UA"}, 1.0),
        ("delay / hour > 1", {"delay": 1, "hour": 0}, 0.0),
        ("delay > -5", {"delay": -4}, 1.0),
        ("delay", {"delay": 1}, 0.0),
    ],
)
def test_rules_hold_or_not(expression, row, expected):
    assert Rule(expression).score(row) == expected


@pytest.mark.parametrize("missing", [{}, {"hour": None}, {"hour": math.nan}, {"hour": np.float64("nan")}])
@pytest.mark.parametrize(
    "expression", ["hour >= 18", "hour < 18", "hour != 18", "hour in (1, 2)", "hour not in (1, 2)", "-hour < 0"]
)
def test_a_comparison_with_a_missing_value_is_false(expression, missing):
    assert Rule(expression).score(missing) == 0.0


def test_columns_give_what_rows_give():
    rule = Rule("hour >= 18 and carrier == 'UA'")
    columns = {"hour": np.array([18.0, 17.0, np.nan, 20.0]), "carrier": ["UA", "UA", "UA", None]}
    assert rule.score_columns(columns).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert rule.names == {"hour", "carrier"}


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "hour.real > 1",
        "hour >",
        "[x for x in y]",
        "hour in other",
        "hour ** 9 > 1",
        "(lambda: 1)()",
        "a is b",
    ],
)
def test_anything_else_is_refused(expression):
    with pytest.raises(RuleError):
        Rule(expression)
