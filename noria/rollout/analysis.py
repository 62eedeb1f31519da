"""Holds a challenger against its champion on what both have scored since the rollout began.

Scores are compared as monitoring compares them (an effect size). Money per decision is compared with confidence sequences,
so that one may look as often as one likes: overall and in each segment. What they may err together is divided among them:
half to the whole, half to the segments, there in the order in which their values turn up. Entities that both have scored
(in shadow, or before and after a step) are compared pairwise, all others as two samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from noria.core.base.formatting import money, number
from noria.core.lifecycle.rollout import Rollout
from noria.core.lifecycle.rollout_decision import RolloutComparison
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.model.signature import Field, Kind
from noria.core.model.value import DAYS_PER_MONTH
from noria.core.stats.confidence_sequence import AnytimeInterval, mean_difference, paired_mean, share_of_alpha
from noria.core.stats.drift import compare
from noria.core.use_case import RolloutMode, UseCase

Money = npt.NDArray[np.float64]
_LEAST_DAYS = 1.0
"""A month is not reckoned from less than a day: hours are too unlike each other."""


@dataclass(frozen=True)
class VersionScores:
    """What one version has scored, in the order of the requests; sequences are equally long.

    Attributes:
        outcomes: scores, or for several classes decisions.
        entities: None where the app gave none.
        money: of each decision; NaN where no label has come.
        segments: values, by segment of the use case.
    """

    outcomes: Sequence[float] | Sequence[str]
    entities: Sequence[str | None]
    money: Money
    segments: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entities)


@dataclass(frozen=True)
class _Cell:
    """One difference of money that was looked at."""

    where: str
    interval: AnytimeInterval
    per_month: float
    """0 where it is too early to tell."""


@dataclass(frozen=True)
class _Sides:
    """Labelled rows of both, by whether the other has scored the entity too."""

    champion: Mapping[str, int]
    challenger: Mapping[str, int]

    @property
    def both(self) -> tuple[str, ...]:
        return tuple(entity for entity in self.challenger if entity in self.champion)


def compare_versions(
    use_case: UseCase, rollout: Rollout, champion: VersionScores, challenger: VersionScores, *, days: float
) -> RolloutComparison:
    """What the rows say.

    Args:
        use_case: task, money and segments.
        rollout: its policy says what is too much.
        champion: what the champion has scored since the rollout began.
        challenger: what the challenger has.
        days: how long that is, to reckon a month.
    """
    currency = use_case.business.currency
    shift = _shift(use_case, rollout, champion, challenger)
    cells = list(_cells(use_case, rollout, champion, challenger, days))
    tolerated = -rollout.policy.judge.quality_drop * _typical(champion)
    if rollout.policy.mode is RolloutMode.AB:
        tolerated = 0.0
    lost = [cell for cell in cells if cell.interval.is_below and cell.interval.difference <= tolerated]
    whole = cells[0] if cells and not cells[0].where else None
    return RolloutComparison(
        worse=shift or (_loss(currency, rollout, lost) if lost else ""),
        better=_gain(currency, rollout, whole) if whole and whole.interval.is_above else "",
        summary=_summary(currency, whole, champion, challenger),
    )


def _shift(use_case: UseCase, rollout: Rollout, champion: VersionScores, challenger: VersionScores) -> str:
    """Scores that are too different; the baseline has none, so nothing is different from it."""
    limits = rollout.policy.judge
    if rollout.champion.version == BASELINE_VERSION or min(len(champion), len(challenger)) < limits.min_rows:
        return ""
    classes = use_case.task.is_multiclass
    name, kind = ("decisions", Kind.CATEGORICAL) if classes else ("scores", Kind.NUMERIC)
    drift = compare(Field(name=name, kind=kind), champion.outcomes, challenger.outcomes, limits.score_shift)
    if not drift.drifted:
        return ""
    return (
        f"its {name} are too different from those of version {rollout.champion.version}: distance {drift.distance:.2f}, "
        f"{number(limits.score_shift)} is the limit ({drift.explanation}; {len(challenger):,} rows against "
        f"{len(champion):,})"
    )


def _cells(
    use_case: UseCase, rollout: Rollout, champion: VersionScores, challenger: VersionScores, days: float
) -> Iterator[_Cell]:
    """The whole first, then every value of every segment that has enough rows."""
    policy = rollout.policy
    confidence = policy.stop.confidence if policy.mode is RolloutMode.AB else policy.judge.confidence
    alpha, names = 1 - confidence, use_case.segments
    least = policy.judge.min_rows
    of_whole = alpha / 2 if names else alpha
    rate = DAYS_PER_MONTH / days if days >= _LEAST_DAYS else 0.0
    everything = _labelled(champion), _labelled(challenger)
    whole = _difference(champion, challenger, everything, alpha=of_whole, least=least)
    if whole is not None:
        yield _Cell("", whole, whole.difference * (len(champion) + len(challenger)) * rate)
    for name in names:
        values = _values(champion, challenger, name)
        for rank, value in enumerate(values, start=1):
            places = tuple(_labelled(side, name, value) for side in (champion, challenger))
            part = alpha / 2 / len(names) * share_of_alpha(rank)
            found = _difference(champion, challenger, (places[0], places[1]), alpha=part, least=least)
            if found is not None:
                yield _Cell(f"{name} {value}", found, found.difference * values[value] * rate)


def _difference(
    champion: VersionScores,
    challenger: VersionScores,
    places: tuple[Mapping[str, int], Mapping[str, int]],
    *,
    alpha: float,
    least: int,
) -> AnytimeInterval | None:
    """The surer of two looks, at the rows that both have and at the others; each may err half as often."""
    sides = _Sides(*places)
    both = frozenset(sides.both)
    if not both:
        return _apart(champion, challenger, sides, both, alpha, least)
    ours = challenger.money[[sides.challenger[entity] for entity in sides.both]]
    theirs = champion.money[[sides.champion[entity] for entity in sides.both]]
    pairs = paired_mean(ours - theirs, alpha=alpha / 2, least=least, best_at=5 * least)
    apart = _apart(champion, challenger, sides, both, alpha / 2, least)
    found = [interval for interval in (pairs, apart) if interval is not None]
    return min(found, key=lambda interval: interval.high - interval.low, default=None)


def _apart(  # noqa: PLR0917 - one comparison: whose, which rows, how sure
    champion: VersionScores, challenger: VersionScores, sides: _Sides, both: frozenset[str], alpha: float, least: int
) -> AnytimeInterval | None:
    theirs = champion.money[[place for entity, place in sides.champion.items() if entity not in both]]
    ours = challenger.money[[place for entity, place in sides.challenger.items() if entity not in both]]
    return mean_difference(theirs, ours, alpha=alpha, least=least, best_at=5 * least)


def _labelled(side: VersionScores, segment: str = "", value: str = "") -> Mapping[str, int]:
    """Place of the first row of each entity that has a label, by entity: asking again is no further evidence."""
    column = side.segments[segment] if segment else None
    places: dict[str, int] = {}
    for place in np.flatnonzero(~np.isnan(side.money)).tolist():
        entity = side.entities[place]
        if entity is not None and (column is None or column[place] == value):
            places.setdefault(entity, place)
    return places


def _values(champion: VersionScores, challenger: VersionScores, segment: str) -> Mapping[str, int]:
    """Rows of each value of a segment, in the order in which the values turned up: an order that no result has chosen."""
    counts: dict[str, int] = defaultdict(int)
    for side in (champion, challenger):
        for value in side.segments[segment]:
            if value is not None:
                counts[value] += 1
    return counts


def _typical(champion: VersionScores) -> float:
    """Money that moves per decision of the champion, gained or lost."""
    known = champion.money[~np.isnan(champion.money)]
    return float(np.abs(known).mean()) if len(known) else 0.0


def _loss(currency: str, rollout: Rollout, lost: Sequence[_Cell]) -> str:
    """The loss of the whole, if that is sure, and the segment that loses most."""
    parts = [cell for cell in lost if cell.where]
    worst = min(parts, key=lambda cell: cell.interval.difference, default=None)
    loss = lost[0] if worst is None or not lost[0].where else worst
    less = f"{money(-loss.interval.difference, currency)} less per decision than version {rollout.champion.version}"
    more = (
        f"; it loses most in {worst.where}, {money(-worst.interval.difference, currency)}"
        if worst and not loss.where
        else ""
    )
    return (
        f"{f'in {loss.where} ' if loss.where else ''}it is worth {less} ({_bounds(loss.interval, currency)}, "
        f"{loss.interval.rows:,} rows){more}{_a_month(-loss.per_month, currency)}"
    )


def _gain(currency: str, rollout: Rollout, cell: _Cell) -> str:
    return (
        f"it is worth {money(cell.interval.difference, currency)} more per decision than version "
        f"{rollout.champion.version} ({_bounds(cell.interval, currency)}, {cell.interval.rows:,} rows)"
        f"{_a_month(cell.per_month, currency)}"
    )


def _a_month(amount: float, currency: str) -> str:
    return f"; that is about {money(amount, currency)} a month" if amount else ""


def _summary(currency: str, whole: _Cell | None, champion: VersionScores, challenger: VersionScores) -> str:
    rows = f"{len(challenger):,} rows against {len(champion):,} of the champion"
    if whole is None:
        labelled = int(np.count_nonzero(~np.isnan(challenger.money)))
        return f"{rows}, {labelled:,} with a label"
    difference = money(whole.interval.difference, currency, signed=True)
    return f"{rows}; money per decision {difference} ({_bounds(whole.interval, currency)})"


def _bounds(interval: AnytimeInterval, currency: str) -> str:
    return f"surely between {money(interval.low, currency, signed=True)} and {money(interval.high, currency, signed=True)}"
