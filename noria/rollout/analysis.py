"""Holds a challenger against its champion on what both have scored since the rollout began.

Versions are compared within strata of time, since the challenger's share grows while the traffic changes. Scores are held
against each other as monitoring does it (an effect size). Money per decision is compared with confidence sequences, so that
one may look as often as one likes: overall and in each segment. What they may err together is divided among them: half to
the whole, half to the segments, there in the order in which their values turn up. Entities that both have scored at the
same time (in shadow mode) are compared pairwise, within the bounds of what the decisions can be worth; all others as two
samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from noria.core.base.formatting import money, number
from noria.core.lifecycle.rollout import Rollout
from noria.core.lifecycle.rollout_decision import RolloutComparison
from noria.core.model.bundle import BASELINE_VERSION
from noria.core.model.decision import bounds_of_difference
from noria.core.model.signature import Field, Kind
from noria.core.model.value import DAYS_PER_MONTH
from noria.core.stats.bounded_mean import bounded_mean
from noria.core.stats.confidence_sequence import AnytimeInterval, mean_difference, share_of_alpha
from noria.core.stats.drift import compare
from noria.core.stats.strata import Strata, matched_weights, strata_of
from noria.core.use_case import RolloutMode, UseCase
from noria.rollout.scores import VersionScores, values_in_order

_LEAST_DAYS = 1.0
"""A month is not reckoned from less than a day: hours are too unlike each other."""


@dataclass(frozen=True)
class MoneyDifference:
    """One difference of money that was looked at.

    Attributes:
        where: segment and value; empty for the whole.
        interval: money per decision, challenger less champion.
        per_month: 0 where it is too early to tell.
    """

    where: str
    interval: AnytimeInterval
    per_month: float


@dataclass(frozen=True)
class _Versions:
    """Both versions, with the stratum of each row."""

    use_case: UseCase
    champion: VersionScores
    challenger: VersionScores
    strata: tuple[Strata, Strata]

    @classmethod
    def of(cls, use_case: UseCase, champion: VersionScores, challenger: VersionScores) -> _Versions:
        strata = strata_of(np.concatenate([champion.times, challenger.times]))
        return cls(use_case, champion, challenger, (strata[: len(champion)], strata[len(champion) :]))


@dataclass(frozen=True)
class _Budget:
    """What one comparison may err, and the fewest rows that it needs."""

    alpha: float
    least: int

    def part(self, share: float) -> _Budget:
        return _Budget(self.alpha * share, self.least)


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
    versions = _Versions.of(use_case, champion, challenger)
    shift = _shift(rollout, versions)
    found = list(_differences(rollout, versions, days))
    tolerated = -rollout.policy.judge.quality_drop * _typical(champion)
    if rollout.policy.mode is RolloutMode.AB:
        tolerated = 0.0
    lost = [one for one in found if one.interval.is_below and one.interval.difference <= tolerated]
    whole = found[0] if found and not found[0].where else None
    return RolloutComparison(
        worse=shift or (_loss(currency, rollout, lost) if lost else ""),
        better=_gain(currency, rollout, whole) if whole and whole.interval.is_above else "",
        summary=_summary(currency, whole, champion, challenger),
    )


def _shift(rollout: Rollout, versions: _Versions) -> str:
    """Scores that are too different; the baseline has none, so nothing is different from it."""
    limits, sides = rollout.policy.judge, (versions.champion, versions.challenger)
    places = [np.array(side.first_rows(), dtype=np.int64) for side in sides]
    if rollout.champion.version == BASELINE_VERSION or min(map(len, places)) < limits.min_rows:
        return ""
    weights = matched_weights(*(strata[rows] for strata, rows in zip(versions.strata, places, strict=True)))
    if weights is None or weights.rows < limits.min_rows:
        return ""
    classes = versions.use_case.task.is_multiclass
    name, kind = ("decisions", Kind.CATEGORICAL) if classes else ("scores", Kind.NUMERIC)
    before, now = ([side.outcomes[place] for place in rows.tolist()] for side, rows in zip(sides, places, strict=True))
    drift = compare(Field(name=name, kind=kind), before, now, limits.score_shift, weights)
    if not drift.drifted:
        return ""
    return (
        f"its {name} are too different from those of version {rollout.champion.version} at the same times: distance "
        f"{drift.distance:.2f}, {number(limits.score_shift)} is the limit ({drift.explanation}; {len(now):,} rows against "
        f"{len(before):,})"
    )


def _differences(rollout: Rollout, versions: _Versions, days: float) -> Iterator[MoneyDifference]:
    """The whole first, then every value of every segment that has enough rows."""
    policy, champion, challenger = rollout.policy, versions.champion, versions.challenger
    confidence = policy.stop.confidence if policy.mode is RolloutMode.AB else policy.judge.confidence
    budget, names = _Budget(1 - confidence, policy.judge.min_rows), versions.use_case.segments
    rate = DAYS_PER_MONTH / days if days >= _LEAST_DAYS else 0.0
    whole = _difference(versions, (champion.labelled(), challenger.labelled()), budget.part(0.5 if names else 1.0))
    if whole is not None:
        requests = champion.requests() + challenger.requests()
        yield MoneyDifference("", whole, whole.difference * requests * rate)
    for name in names:
        for rank, value in enumerate(values_in_order(champion, challenger, name), start=1):
            places = champion.labelled(name, value), challenger.labelled(name, value)
            found = _difference(versions, places, budget.part(0.5 / len(names) * share_of_alpha(rank)))
            if found is not None:
                requests = champion.requests(name, value) + challenger.requests(name, value)
                yield MoneyDifference(f"{name} {value}", found, found.difference * requests * rate)


def _difference(
    versions: _Versions, places: tuple[Mapping[str, int], Mapping[str, int]], budget: _Budget
) -> AnytimeInterval | None:
    """The surer of two looks, at entities that both scored at the same time and at the others; each may err half."""
    theirs, ours = places
    strata, others = versions.strata
    both = [entity for entity in ours if entity in theirs and strata[theirs[entity]] == others[ours[entity]]]
    if not both:
        return _unpaired(versions, places, budget)
    pairs = _paired(versions, [theirs[entity] for entity in both], [ours[entity] for entity in both], budget.part(0.5))
    paired = frozenset(both)
    left = tuple({entity: place for entity, place in side.items() if entity not in paired} for side in places)
    found = [pairs, _unpaired(versions, (left[0], left[1]), budget.part(0.5))]
    return min((one for one in found if one is not None), key=lambda one: one.high - one.low, default=None)


def _paired(versions: _Versions, theirs: Sequence[int], ours: Sequence[int], budget: _Budget) -> AnytimeInterval | None:
    champion, challenger, use_case = versions.champion, versions.challenger, versions.use_case
    order = np.argsort(challenger.known_at[ours], kind="stable")
    rows, other_rows = np.array(theirs)[order], np.array(ours)[order]
    lows, highs = bounds_of_difference(
        use_case.business.value, champion.decisions[rows], challenger.decisions[other_rows], use_case.label.classes
    )
    differences = challenger.money[other_rows] - champion.money[rows]
    return bounded_mean(differences, lows, highs, alpha=budget.alpha, least=budget.least)


def _unpaired(
    versions: _Versions, places: tuple[Mapping[str, int], Mapping[str, int]], budget: _Budget
) -> AnytimeInterval | None:
    theirs, ours = (np.array(list(side.values()), dtype=np.int64) for side in places)
    strata, others = versions.strata
    return mean_difference(
        versions.champion.money[theirs],
        versions.challenger.money[ours],
        strata=(strata[theirs], others[ours]),
        alpha=budget.alpha,
        least=budget.least,
        best_at=5 * budget.least,
    )


def _typical(champion: VersionScores) -> float:
    """Money that moves per decision of the champion, gained or lost."""
    known = champion.money[~np.isnan(champion.money)]
    return float(np.abs(known).mean()) if len(known) else 0.0


def _loss(currency: str, rollout: Rollout, lost: Sequence[MoneyDifference]) -> str:
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


def _gain(currency: str, rollout: Rollout, cell: MoneyDifference) -> str:
    return (
        f"it is worth {money(cell.interval.difference, currency)} more per decision than version "
        f"{rollout.champion.version} ({_bounds(cell.interval, currency)}, {cell.interval.rows:,} rows)"
        f"{_a_month(cell.per_month, currency)}"
    )


def _a_month(amount: float, currency: str) -> str:
    return f"; that is about {money(amount, currency)} a month" if amount else ""


def _summary(currency: str, whole: MoneyDifference | None, champion: VersionScores, challenger: VersionScores) -> str:
    rows = f"{len(challenger):,} rows against {len(champion):,} of the champion"
    if whole is None:
        labelled = int(np.count_nonzero(~np.isnan(challenger.money)))
        return f"{rows}, {labelled:,} with a label"
    difference = money(whole.interval.difference, currency, signed=True)
    return f"{rows}; money per decision {difference} ({_bounds(whole.interval, currency)})"


def _bounds(interval: AnytimeInterval, currency: str) -> str:
    return f"surely between {money(interval.low, currency, signed=True)} and {money(interval.high, currency, signed=True)}"
