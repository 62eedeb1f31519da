"""One house style: round trips, thousands, signs."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.core.base.formatting import (
    MINUS,
    UNKNOWN,
    ascii_minus,
    day,
    decimal,
    display_name,
    interval,
    moment,
    money,
    number,
    one_line,
    percent,
    plain_name,
    points,
    rounded,
)

figures = st.floats(-1e14, 1e14)
WRITERS = [number, decimal, money, percent, points]
EAST = timezone(timedelta(hours=2))
THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(,\d{3})*(\.\d+)?(?!\d)")


def read(text: str) -> float:
    """What a reader takes a figure for."""
    return float(text.replace(MINUS, "-").replace(",", "").replace("+", "").removesuffix(" %"))


@given(figures)
def test_number_keeps_four_digits(value):
    assert read(number(value)) == pytest.approx(value, rel=5.1e-4, abs=1e-300)


@given(figures)
def test_decimal_keeps_what_its_decimals_hold(value):
    assert read(decimal(value)) == pytest.approx(value, rel=5.1e-3, abs=5.1e-4)


@given(figures)
def test_money_keeps_three_digits(value):
    assert read(money(value)) == pytest.approx(value, rel=0.051, abs=5.1e-7)


@given(st.floats(-1e9, 1e9))
def test_percent_keeps_what_its_decimals_hold(share):
    assert read(percent(share, 1)) == pytest.approx(100 * share, rel=1e-9, abs=0.051)
    assert f"{points(share)} %" == percent(share, 1)


@pytest.mark.parametrize("write", WRITERS)
@given(value=figures)
def test_minus_is_a_true_one_and_stands_before_no_zero(write, value):
    text = write(value)
    assert "-" not in text
    shows_zero = not re.search(r"[1-9]", text)
    assert text.startswith(MINUS) is (value < 0 and not shows_zero)
    assert text.lstrip(MINUS) == write(-value).lstrip(MINUS)


@pytest.mark.parametrize("write", [number, decimal, money])
@given(value=figures)
def test_plus_stands_before_what_is_above_zero(write, value):
    text = write(value, signed=True)
    assert text.startswith("+") is (value > 0 and bool(re.search(r"[1-9]", text)))
    assert text.lstrip("+") == write(value)


@pytest.mark.parametrize("write", WRITERS)
@given(value=st.floats(1000, 1e12))
def test_thousands_are_apart(write, value):
    text = write(value).removesuffix(" %")
    assert THOUSANDS.fullmatch(text)


@given(st.integers(-(10**9), 10**9))
def test_counts_are_written_in_full(count):
    assert ascii_minus(number(count, digits=10)) == f"{count:,}"


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_missing_figures_are_a_dash(write, value):
    assert write(value) == UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.71234), "0.7123"),
        (number(14.2), "14.2"),
        (number(999.96), "1,000"),
        (number(1_234_567.8), "1,234,568"),
        (number(1234.5, digits=10), "1,234.5"),
        (number(1e-7, digits=1), "1e−07"),
        (number(2e15), "2e+15"),
        (number(11.94, 3), "11.9"),
        (decimal(0.7), "0.700"),
        (decimal(-1.5), "−1.50"),
        (decimal(37.06), "37.1"),
        (decimal(1234.4), "1,234"),
        (decimal(-0.0001), "0.000"),
        (decimal(999.95), "1,000"),
        (decimal(1000), "1,000"),
        (decimal(10), "10.00"),
        (decimal(10.001), "10.00"),
        (decimal(1.001), "1.001"),
        (decimal(1), "1.000"),
        (decimal(1e300), "1e+300"),
        (money(9.999), "10"),
        (money(0.09999), "0.10"),
        (money(0.1), "0.10"),
        (money(-1e300, "EUR"), "EUR −1e+300"),
        (percent(0.0001), "0 %"),
        (percent(0.09996), "10 %"),
        (percent(1e300), "1e+302 %"),
        (money(1300.4, "EUR"), "EUR 1,300"),
        (money(-120, "EUR"), "EUR −120"),
        (money(14_747.2, "EUR", signed=True), "EUR +14,747"),
        (money(2.4, "EUR"), "EUR 2.40"),
        (money(0.03125, "EUR"), "EUR 0.0312"),
        (money(1e-9, "EUR"), "EUR 0"),
        (money(812), "812"),
        (percent(0.004), "0.4 %"),
        (percent(0.314), "31 %"),
        (percent(0.2601, 1), "26.0 %"),
        (points(-0.012), "−1.2"),
        (interval(-0.01, 0.03), "−0.01 to 0.03"),
        (interval(math.nan, 0.03), ""),
        (interval(-260, 41, money), "−260 to 41"),
        (day("2013-05-01T06:00:00+00:00"), "2013-05-01"),
        (day(datetime(2013, 5, 1, 6, tzinfo=UTC)), "2013-05-01"),
        (moment(datetime(2013, 5, 1, 6, 7, 8, tzinfo=UTC)), "2013-05-01 06:07 UTC"),
        (day("2013-05-01T01:00:00+02:00"), "2013-04-30"),
        (day(datetime(2013, 5, 1, 1, tzinfo=EAST)), "2013-04-30"),
        (moment(datetime(2013, 5, 1, 1, tzinfo=EAST)), "2013-04-30 23:00 UTC"),
        (one_line("[drift] depot,\n\u2028new "), "[drift] depot, new"),
        (plain_name("arrived_late"), "arrived late"),
        (display_name("flight_delays"), "Flight delays"),
    ],
)
def test_examples(text, expected):
    assert text == expected


@pytest.mark.parametrize("write", [decimal, money, percent])
@given(value=st.floats(0, 1e14), near=st.floats(0.99, 1.01))
def test_a_figure_is_written_in_one_way(write, value, near):
    one, other = write(value), write(value * near)
    assert (read(one) == read(other)) is (one == other)


@given(st.floats(0.01, 1e12), st.integers(1, 6))
def test_rounded_keeps_so_many_digits(value, digits):
    assert rounded(value, digits) == pytest.approx(value, rel=0.5 * 10 ** (1 - digits) * 1.01)
    assert rounded(rounded(value, digits), digits) == rounded(value, digits)


def test_ascii_minus_for_what_machines_read():
    assert ascii_minus("−0.42") == "-0.42"
