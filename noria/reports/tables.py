"""Tables of the evaluation page: one row per segment or month, and what happened against what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from noria.core.base.formatting import UNKNOWN, percent, plain_name
from noria.core.lifecycle.evaluation import EvaluationReport, SegmentMetrics
from noria.core.metrics.direction import goodness
from noria.core.metrics.task_profile import profile_of
from noria.core.use_case import Task
from noria.core.use_case.metric_catalog import definition, figure
from noria.reports.formatting import bounds
from noria.reports.plots import Plot

MOST_PARTS = 20
MOST_UNJUDGED = 4


@dataclass(frozen=True)
class Cell:
    """A number in a table, with a bar as wide as it is large."""

    text: str
    interval: str = ""
    bar: float | None = None
    """Percent of the widest bar; None for no bar."""
    loss: bool = False
    worst: bool = False


@dataclass(frozen=True)
class PartRow:
    """One value of a segment, or one month."""

    value: str
    rows: int
    judged: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PartTable:
    """All values of a segment, or all months."""

    name: str
    headers: tuple[str, ...]
    rows: tuple[PartRow, ...]
    folded: tuple[PartRow, ...] = ()
    """Shown on demand: what is beyond the largest, and what is too small to judge."""
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class ConfusionTable:
    """Rows by what happened and what was decided."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, str, int], ...]], ...]
    """Name, then count, share of the row and shade (0 to 100) of every decision."""


def part_table(name: str, parts: Sequence[SegmentMetrics], task: Task) -> PartTable:
    """A table of segments or months, with money first, bars, and the worst of each metric marked."""
    metrics = ("value", *profile_of(task).metrics)
    widest = {metric: _widest(parts, metric) for metric in metrics}
    worst = {metric: _worst(parts, metric) for metric in metrics}
    rows = tuple(
        PartRow(part.value, part.rows, part.judged, tuple(_cell(part, m, widest[m], worst[m]) for m in metrics))
        for part in parts
    )
    shown, folded = _fold(rows)
    return PartTable(plain_name(name), tuple(definition(metric).title for metric in metrics), shown, folded)


def _fold(rows: tuple[PartRow, ...]) -> tuple[tuple[PartRow, ...], tuple[PartRow, ...]]:
    """Rows shown at once: the largest, without the small ones where those are many."""
    few = sum(not row.judged for row in rows) <= MOST_UNJUDGED
    shown = tuple(row for row in rows if row.judged or few)[:MOST_PARTS]
    return shown, tuple(row for row in rows if row not in shown)


def _widest(parts: Sequence[SegmentMetrics], metric: str) -> float:
    """Value of the longest bar; 0 if there is only one figure, which needs no bar."""
    known = [abs(part.metrics[metric]) for part in parts if metric in part.metrics]
    return max(known) if len(known) > 1 else 0.0


def _cell(part: SegmentMetrics, metric: str, widest: float, worst: str | None) -> Cell:
    found = part.metrics.get(metric)
    if found is None:
        return Cell(UNKNOWN)
    bar = round(100 * abs(found) / widest, 1) if widest else None
    span = bounds(metric, part.intervals.get(metric))
    return Cell(figure(metric, found), span, bar, loss=found < 0, worst=part.value == worst)


def _worst(parts: Sequence[SegmentMetrics], metric: str) -> str | None:
    """The judged part with the worst figure, where there are several to choose from."""
    judged = [part for part in parts if part.judged and metric in part.metrics]
    return min(judged, key=lambda part: goodness(metric, part.metrics[metric])).value if len(judged) > 2 else None


def confusion_table(report: EvaluationReport) -> ConfusionTable | None:
    """Outcomes against decisions; None for a number."""
    if not report.confusion:
        return None
    names = tuple(report.classes) if report.task.is_multiclass else ("no", "yes")
    rows = []
    for name, counts in zip(names, report.confusion, strict=True):
        whole = max(sum(counts), 1)
        rows.append((name, tuple((count, percent(count / whole, 0), round(100 * count / whole)) for count in counts)))
    return ConfusionTable(names, tuple(rows))
