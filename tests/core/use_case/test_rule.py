import math

import numpy as np
import pytest

from noria.core.base.errors import RuleError
from noria.core.use_case.rule import Rule


@pytest.mark.parametrize(
    ("expression", "row", "holds"),
    [
        ("hour >= 18", {"hour": 18}, True),
        ("hour >= 18", {"hour": 17.9}, False),
        ("6 <= hour < 9", {"hour": 7}, True),
        ("hour >= 18 and carrier in ('UA', 'AA')", {"hour": 20, "carrier": "UA"}, True),
        ("carrier not in ('UA', 'AA')", {"carrier": "DL"}, True),
        ("not hour >= 18", {"hour": 3}, True),
        ("delay + 2 * hour > 40 or carrier == 'HA'", {"delay": 1, "hour": 20, "carrier": "UA"}, True),
        ("delay / hour > 1", {"delay": 1, "hour": 0}, False),
        ("delay > -5", {"delay": -4}, True),
    ],
)
def test_rules_hold_or_not(expression, row, holds):
    assert Rule(expression).value(row) is holds


@pytest.mark.parametrize("missing", [{}, {"hour": None}, {"hour": math.nan}, {"hour": np.float64("nan")}])
@pytest.mark.parametrize(
    "expression", ["hour >= 18", "hour < 18", "hour != 18", "hour in (1, 2)", "hour not in (1, 2)", "-hour < 0"]
)
def test_a_comparison_with_a_missing_value_is_false(expression, missing):
    assert Rule(expression).value(missing) is False


def test_columns_give_what_rows_give():
    rule = Rule("hour >= 18 and carrier == 'UA'")
    columns = {"hour": np.array([18.0, 17.0, np.nan, 20.0]), "carrier": ["UA", "UA", "UA", None]}
    assert rule.values(columns, 4) == [True, False, False, False]
    assert rule.names == {"hour", "carrier"}


def test_a_column_is_divided_by_zero_as_a_row_is():
    rule = Rule("first(late / flights, 3)")
    assert rule.value({"late": 1.0, "flights": 0.0}) == 3
    assert rule.values({"late": np.array([1.0, 1.0]), "flights": np.array([0.0, 4.0])}, 2) == [3, 0.25]


def test_a_rule_says_what_it_reads_in_its_own_order():
    assert Rule("first(month_price, hotel_price * month_price, 95)").reads == ("month_price", "hotel_price")
    assert Rule("first if first > 1 else 2").reads == ("first",)
    assert Rule("95").reads == ()


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
