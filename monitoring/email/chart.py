"""The e-mail's picture: what decisions were worth per interval, beside the baseline's. Readable on a phone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from noria.core.base.formatting import day, moment, money, number
from noria.core.use_case import UseCase
from noria.ports.verdict_store import LedgerRow

_MODEL, _RULE, _INK, _SOFT = "#0b5cad", "#b8c4cf", "#1c2733", "#51606f"
_PIXELS_PER_INCH = 200  # 6 inches shown 340 pixels wide: 16 points come out as a phone's 12 pixels


def draw_money(use_case: UseCase, ledger: Sequence[LedgerRow]) -> bytes:
    """A PNG, 1200 pixels wide: one pair of bars per line of the ledger; of errors what they cost, so that less is better."""
    figure = Figure(figsize=(6, 3.5), dpi=_PIXELS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(ledger))
    sign = -1 if _errs(use_case) else 1
    served, rule = [sign * line.value for line in ledger], [sign * line.baseline_value for line in ledger]
    axes.bar([place - 0.2 for place in places], served, 0.38, color=_MODEL, label="what served")
    axes.bar([place + 0.2 for place in places], rule, 0.38, color=_RULE, label="the baseline")
    axes.axhline(0, color=_INK, linewidth=1)
    axes.set_xticks(list(places), [f"{_short(use_case, line.start)}\nv{line.version}" for line in ledger])
    axes.set_xlim(-0.6, max(len(ledger), 3) - 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda amount, _: _round_amount(amount)))
    axes.tick_params(labelsize=15, colors=_INK, length=0)
    axes.set_title(f"{_title(use_case)}, {use_case.business.currency}", fontsize=16, color=_INK, loc="left", pad=34)
    axes.legend(
        fontsize=15, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 0.98), labelcolor=_INK, handlelength=1
    )
    axes.grid(axis="y", color="#e6ebf0")
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    figure.tight_layout(pad=0.6)
    output = io.BytesIO()
    figure.savefig(output, format="png", metadata={"Software": None})
    return output.getvalue()


def describe_money(use_case: UseCase, ledger: Sequence[LedgerRow]) -> str:
    """The picture in words, for those who do not see it."""
    currency, sign = use_case.business.currency, -1 if _errs(use_case) else 1
    lines = (
        f"{_start(use_case, line.start)}: {money(sign * line.value, currency)}, "
        f"baseline {money(sign * line.baseline_value, currency)}"
        for line in ledger
    )
    return f"{_title(use_case)}. " + "; ".join(lines)


def _round_amount(amount: float) -> str:
    if abs(amount) >= 1_000_000:
        return f"{number(amount / 1_000_000)}M"
    return f"{number(amount / 1_000)}k" if abs(amount) >= 1_000 else number(amount)


def _errs(use_case: UseCase) -> bool:
    return use_case.task.is_regression


def _title(use_case: UseCase) -> str:
    return "Cost of errors" if _errs(use_case) else "Value of decisions"


def _start(use_case: UseCase, start: datetime) -> str:
    return {"@hourly": moment(start), "@monthly": day(start)[:7]}.get(use_case.schedule.data.value, day(start))


def _short(use_case: UseCase, start: datetime) -> str:
    return {"@hourly": f"{start:%H:%M}", "@monthly": f"{start:%b}"}.get(
        use_case.schedule.data.value, f"{start.day} {start:%b}"
    )
