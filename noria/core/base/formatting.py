"""Numbers, money, shares, dates and names as people read them: one house style for mails, pages, commands and gates.

`EUR 1,300`, `−0.42`, `1,234,567`, `12.3 %`, `2013-05-01`, `arrived late`. A minus is U+2212, as wide as a plus, and never
stands before a zero. A figure that is missing or not finite is `–`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

MINUS = "−"
UNKNOWN = "–"
"""Stands for a figure that is not there."""
_LARGEST = 1e15
"""Beyond it, digits say nothing: powers of ten do."""


def number(value: float | None, digits: int = 4, *, signed: bool = False) -> str:
    """Any number with so many significant digits, and every digit before the point: `0.7123`, `14.2`, `1,234,567`.

    Args:
        value: the number.
        digits: significant digits; zeros at the end are left out.
        signed: whether a number above 0 has a plus.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{abs(value):.{digits}g}"
    rounded = float(text)
    if 1000 <= rounded < _LARGEST:
        text = f"{abs(value):,.{max(digits - len(f'{rounded:.0f}'), 0)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return _sign(value, text.replace("-", MINUS), signed=signed)


def decimal(value: float | None, *, signed: bool = False) -> str:
    """A number with as many decimals as its size asks for, so that figures line up: `0.712`, `4.20`, `37.1`, `1,234`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if _is_beyond_digits(size):
        return number(value, signed=signed)
    tenths = round(size, 1)
    digits = 0 if tenths >= 1000 else 1 if tenths > 10 else 2 if round(size, 2) > 1 else 3
    return _sign(value, f"{size:,.{digits}f}", signed=signed)


def money(amount: float | None, currency: str = "", *, signed: bool = False) -> str:
    """Money, currency first: `EUR 1,300`, `EUR −2.40`, `EUR 0.0312`.

    Whole units from 10, cents from a tenth, three significant digits below.

    Args:
        amount: in units of the currency.
        currency: its code; empty where a heading says it.
        signed: whether an amount above 0 has a plus.
    """
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    size = rounded(abs(amount), 3)
    if _is_beyond_digits(size):
        return f"{currency} {number(amount, signed=signed)}".lstrip()
    digits = 0 if size >= 10 else 2 if size >= 0.1 or size == 0 else min(2 - math.floor(math.log10(size)), 6)
    text = f"{abs(amount):,.{digits}f}"
    shown = _sign(amount, text if text.strip("0.,") else "0", signed=signed)
    return f"{currency} {shown}".lstrip()


def percent(share: float | None, digits: int | None = None) -> str:
    """A share as a percentage: `0.4 %`, `31 %`.

    Args:
        share: 0.31 is 31 %.
        digits: decimals; None for one below 10 %, none above.
    """
    if share is None or not math.isfinite(share):
        return UNKNOWN
    value = 100 * float(share)
    if _is_beyond_digits(abs(value)):
        return f"{number(value)} %"
    decimals = digits if digits is not None else 1 if 0 < round(abs(value), 1) < 10 else 0
    return f"{_sign(value, f'{abs(value):,.{decimals}f}')} %"


def points(share: float | None) -> str:
    """A difference of shares in percentage points, with one decimal: `12.0`."""
    return percent(share, 1).removesuffix(" %")


def interval(low: float | None, high: float | None, shown: Callable[[float | None], str] = number) -> str:
    """The bounds of an interval: `−0.02 to 0.31`; empty where either is not known.

    Args:
        low: lower bound.
        high: upper bound.
        shown: how each bound is written.
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{shown(low)} to {shown(high)}"


def rounded(value: float, digits: int = 2) -> float:
    """The nearest number with so many significant digits: an estimate bears no more."""
    return float(f"{value:.{digits - 1}e}")


def day(instant: datetime | str) -> str:
    """The day in UTC of an instant or of its ISO text: `2013-05-01`."""
    return f"{_utc(datetime.fromisoformat(instant) if isinstance(instant, str) else instant):%Y-%m-%d}"


def moment(instant: datetime) -> str:
    """An instant to the minute: `2013-05-01 06:00 UTC`."""
    return f"{_utc(instant):%Y-%m-%d %H:%M} UTC"


def plain_name(identifier: str) -> str:
    """An identifier with blanks for underscores: `arrived late`."""
    return identifier.replace("_", " ")


def display_name(identifier: str) -> str:
    """An identifier at the beginning of a line: `Flight delays`."""
    return plain_name(identifier).capitalize()


def one_line(text: str) -> str:
    """The text with one blank for each run of blanks and line breaks: what a mail's subject must be.

    Example:
        >>> one_line("[drift] depot,\\nnew value")
        '[drift] depot, new value'
    """
    return " ".join(text.split())


def ascii_minus(text: str) -> str:
    """The text with a hyphen for a minus, as bundles and answers over REST have it: their bytes are an interface."""
    return text.replace(MINUS, "-")


def _utc(instant: datetime) -> datetime:
    """A database answers in the time zone of its server; an instant without a zone is one of UTC."""
    return instant if instant.tzinfo is None else instant.astimezone(UTC)


def _is_beyond_digits(size: float) -> bool:
    return not math.isfinite(size) or round(size) >= _LARGEST


def _sign(value: float, text: str, *, signed: bool = False) -> str:
    """The sign of a number before its digits; none before a zero."""
    if not text.strip("0.,"):
        return text
    return f"{MINUS if value < 0 else '+' if signed else ''}{text}"
