"""The page's plots as SVG, each with a text for those who cannot see it.

They are narrow on purpose: scaled down to a phone their letters can still be read. Text stays text, in the
reader's own font.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from noria.core.base.formatting import money, number
from noria.core.lifecycle.evaluation import CalibrationBin, CurvePoint, Estimate, LearningPoint, SegmentMetrics, ValueLine
from noria.core.use_case import Task
from noria.core.use_case.metric_catalog import definition
from noria.reports.formatting import LINE_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1f2933", "#616e7c", "#cbd2d9"
ACCENT, SECOND, GOOD, BAD = "#0b7285", "#e8590c", "#2b8a3e", "#c92a2a"
_COLOURS = {"candidate": ACCENT, "champion": "#5c7cfa", "baseline": "#868e96", "nothing": FAINT, "perfect": "#e6fcf5"}
_WIDTH = 4.6
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "noria",  # the same plot gives the same bytes
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": "#e4e7eb",
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Plot:
    """A plot for an `img` tag.

    Attributes:
        source: a `data:` URI.
        alt: what it shows, in words.
    """

    source: str
    alt: str


def value_bars(values: Sequence[ValueLine], currency: str) -> Plot:
    """Money per 1,000 decisions of everybody, side by side."""
    shown = values[::-1]
    with _axes(0.45 * len(values) + 0.7) as (figure, axes):
        middle = [line.per_1000.value for line in shown]
        for place, line in enumerate(shown):
            edge = ACCENT if line.name == "perfect" else "none"
            axes.barh(place, line.per_1000.value, height=0.62, color=_COLOURS[line.name], edgecolor=edge, linewidth=0.8)
        axes.errorbar(
            middle,
            range(len(shown)),
            xerr=_reach([line.per_1000 for line in shown]),
            fmt="none",
            ecolor=INK,
            elinewidth=1.1,
            capsize=3.0,
        )
        axes.set_yticks(range(len(shown)), [LINE_NAMES[line.name] for line in shown], color=INK)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"{currency} per 1,000 decisions, with 95 % interval")
        _thousands(axes)
        caption = "; ".join(f"{LINE_NAMES[line.name]} {money(line.per_1000.value, currency)}" for line in values)
        return _plot(figure, f"Bars of money per 1,000 decisions: {caption}.")


def money_curve(points: Sequence[CurvePoint], chosen: float, task: Task, currency: str) -> Plot:
    """Money per 1,000 decisions over thresholds, or over what is added to every number."""
    what = "threshold" if task.is_binary else "added to every prediction"
    x, y = [point.x for point in points], [point.y for point in points]
    best = int(np.argmax(y))
    with _axes(2.7) as (figure, axes):
        axes.plot(x, y, color=ACCENT, linewidth=1.8)
        axes.axvline(
            chosen,
            color=SECOND,
            linewidth=1.2,
            linestyle="--",
            label=f"chosen: {number(chosen)}" if task.is_binary else "as it predicts",
        )
        axes.plot(x[best], y[best], "o", color=ACCENT, markersize=5, label=f"best on these rows: {number(x[best])}")
        axes.set_xlabel(what)
        axes.set_ylabel(f"{currency} per 1,000")
        axes.grid(visible=True)
        axes.yaxis.set_major_formatter(lambda amount, _: money(amount))
        _legend(axes)
        best_said = f"most is {money(y[best], currency)} at {number(x[best])}"
        return _plot(figure, f"Line of money per 1,000 decisions over the {what}: {best_said}; chosen is {number(chosen)}.")


def calibration_plot(bins: Sequence[CalibrationBin], task: Task) -> Plot:
    """Predicted against observed."""
    said, came = [part.score for part in bins], [part.rate for part in bins]
    low, high = min(*said, *came), max(*said, *came)
    with _axes(3.0) as (figure, axes):
        axes.plot([low, high], [low, high], color=FAINT, linewidth=1.2, label="said is what comes")
        axes.plot(said, came, "o-", color=ACCENT, linewidth=1.5, markersize=4.5, label="candidate")
        numbers = task.is_regression
        axes.set_xlabel("mean prediction" if numbers else "mean probability")
        axes.set_ylabel("mean of what came" if numbers else "share that came")
        axes.grid(visible=True)
        _legend(axes)
        worst = max(bins, key=lambda part: abs(part.score - part.rate))
        alt = f"Calibration in {len(bins)} bins; farthest off: {number(worst.score)} said, {number(worst.rate)} came."
        return _plot(figure, alt)


def residual_plot(points: Sequence[CurvePoint]) -> Plot:
    """Errors over predictions."""
    x, y = [point.x for point in points], [point.y for point in points]
    with _axes(2.9) as (figure, axes):
        axes.scatter(x, y, s=9, color=ACCENT, alpha=0.45, linewidths=0)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("prediction")
        axes.set_ylabel("too high (+) or too low (−)")
        axes.grid(visible=True)
        low, high = np.quantile(y, [0.05, 0.95])
        return _plot(
            figure, f"{len(points)} errors over predictions; 90 % of them between {number(low)} and {number(high)}."
        )


def error_histogram(points: Sequence[CurvePoint]) -> Plot:
    """How errors are spread."""
    errors = np.array([point.y for point in points])
    low, high = np.quantile(errors, [0.01, 0.99])
    with _axes(2.9) as (figure, axes):
        axes.hist(np.clip(errors, low, high), bins=30, color=ACCENT, alpha=0.85)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("prediction less what came")
        axes.set_ylabel("rows of the sample")
        return _plot(
            figure,
            f"Histogram of errors: half of them between {' and '.join(map(number, np.quantile(errors, [0.25, 0.75])))}.",
        )


def month_lines(months: Sequence[SegmentMetrics], metric: str, unit: str) -> Plot:
    """A metric by month, with its interval where it has one."""
    judged = [month for month in months if metric in month.metrics]
    y = [month.metrics[metric] for month in judged]
    intervals = [month.intervals.get(metric) for month in judged]
    with _axes(2.5) as (figure, axes):
        places = range(len(judged))
        axes.plot(places, y, "o-", color=ACCENT, linewidth=1.8, markersize=4.5)
        if all(intervals):
            known = [estimate for estimate in intervals if estimate is not None]
            axes.fill_between(places, [e.low for e in known], [e.high for e in known], color=ACCENT, alpha=0.15, linewidth=0)
        step = max(1, len(judged) // 6)
        axes.set_xticks(list(places)[::step], [month.value for month in judged][::step])
        axes.set_ylabel(unit)
        axes.grid(visible=True, axis="y")
        _calm(axes)
        axes.yaxis.set_major_formatter(lambda found, _: number(found))
        caption = "; ".join(
            f"{month.value} {definition(metric).shown(found)}" for month, found in zip(judged, y, strict=True)
        )
        return _plot(figure, f"{definition(metric).title} by month: {caption}.")


def importance_bars(importances: Sequence[tuple[str, float]], unit: str) -> Plot:
    """Mean absolute contributions, the strongest on top."""
    shown = importances[::-1]
    with _axes(0.27 * len(shown) + 0.7) as (figure, axes):
        axes.barh(range(len(shown)), [found for _, found in shown], height=0.66, color=ACCENT)
        axes.set_yticks(range(len(shown)), [_short(name) for name, _ in shown], color=INK)
        axes.set_xlabel(f"mean contribution, in {unit}")
        axes.grid(visible=True, axis="x")
        caption = "; ".join(f"{name} {number(found)}" for name, found in importances[:5])
        return _plot(figure, f"What moves predictions most: {caption}.")


def learning_plot(points: Sequence[LearningPoint], metric: str) -> Plot:
    """The search metric over training rows."""
    x, y = [point.rows for point in points], [point.metric for point in points]
    with _axes(2.5) as (figure, axes):
        axes.plot(x, y, "o-", color=ACCENT, linewidth=1.8, markersize=4.5)
        axes.set_xlabel("training rows")
        axes.set_ylabel(definition(metric).title)
        axes.grid(visible=True)
        _calm(axes)
        _thousands(axes)
        caption = "; ".join(f"{rows:,} rows {definition(metric).shown(found)}" for rows, found in zip(x, y, strict=True))
        return _plot(figure, f"{definition(metric).title} by number of training rows: {caption}.")


def _reach(estimates: Sequence[Estimate]) -> list[list[float]]:
    below = [max(estimate.value - estimate.low, 0.0) for estimate in estimates]
    return [below, [max(estimate.high - estimate.value, 0.0) for estimate in estimates]]


@contextmanager
def _axes(height: float) -> Iterator[tuple[Figure, Axes]]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # no pyplot: it keeps figures and looks for a display

    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.add_subplot()


def _plot(figure: Figure, alt: str) -> Plot:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}", alt)


def _calm(axes: Axes) -> None:
    """Show at least a twentieth of the level, so that what hardly moves does not look as if it did."""
    low, high = axes.get_ylim()
    room = 0.05 * max(abs(low), abs(high)) - (high - low)
    if room > 0:
        axes.set_ylim(low - room / 2, high + room / 2)


def _thousands(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda found, _: number(found))


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=8.5, loc="best", handlelength=1.4)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
