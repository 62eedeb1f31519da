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


@pytest.mark.parametrize(
    ("expression", "row", "expected"),
    [
        ("'late' if wind > 30 else 'on_time'", {"wind": 31}, "late"),
        ("'late' if wind > 30 else 'on_time'", {"wind": None}, "on_time"),
        ("'a' if x > 2 else 'b' if x > 1 else 'c'", {"x": 1.5}, "b"),
        ("first(price, other, 95)", {"price": 80.0, "other": 1.0}, 80.0),
        ("first(price, other, 95)", {"price": math.nan, "other": 70.0}, 70.0),
        ("first(price, other, 95)", {}, 95),
        ("first(price * 1.1, 95)", {"price": None}, 95),
        ("first(price, other)", {}, None),
    ],
)
def test_rules_can_give_classes_and_numbers(expression, row, expected):
    assert Rule(expression).value(row) == expected


def test_many_rows_give_what_single_rows_give_also_where_the_rule_reads_nothing():
    rule = Rule("first(price, other, 95)")
    assert rule.names == {"price", "other"}
    assert rule.values({"price": np.array([1.0, np.nan]), "other": [None, None]}, 2) == [1.0, 95]
    assert Rule("95").values({"price": [1.0, 2.0]}, 2) == [95, 95]


def test_a_rule_says_what_it_can_end_in():
    assert Rule("'a' if x > 1 else first('b', x)").outcomes == ("a", "b", None)


@pytest.mark.parametrize("expression", ["first()", "last(x)", "first(x, default=3)", "first"])
def test_only_first_can_be_called_and_it_needs_values(expression):
    if expression == "first":
        assert Rule(expression).names == {"first"}  # a feature may be called so
    else:
        with pytest.raises(RuleError):
            Rule(expression)
