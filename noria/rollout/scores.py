"""What one version has scored since a rollout began, as the comparison looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from noria.core.model.decision import Decisions, Money, money
from noria.core.stats.strata import Values
from noria.core.use_case import UseCase

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class VersionScores:
    """Rows of one version, in the order of the requests; all sequences are equally long.

    Attributes:
        times: of the requests, in seconds since an instant.
        outcomes: scores, or for several classes decisions.
        entities: None where the app gave none.
        decisions: bool, index of a class, or a number; as `noria.core.model.decision` has them.
        money: of each decision; NaN where no label has come.
        known_at: when the label became known, in seconds since the same instant; NaN where none has come.
        answered: whether an app got the answer; False in shadow mode.
        stands_for: requests that a row stands for; more than 1 where a sample was read.
        segments: values, by segment of the use case.
    """

    times: Values
    outcomes: Sequence[float] | Sequence[str]
    entities: Sequence[str | None]
    decisions: Decisions
    money: Money
    known_at: Values
    answered: Mask
    stands_for: Values
    segments: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entities)

    def first_rows(self) -> list[int]:
        """Places of the first row of each entity, and of every row without one: asking again is no further evidence."""
        seen: set[str] = set()
        found = []
        for place, entity in enumerate(self.entities):
            if entity is None or entity not in seen:
                found.append(place)
            if entity is not None:
                seen.add(entity)
        return found

    def labelled(self, segment: str = "", value: str = "") -> Mapping[str, int]:
        """Place of the first row of each entity that has a label, by entity; of one value of a segment, or of all."""
        column = self.segments[segment] if segment else None
        places: dict[str, int] = {}
        for place in np.flatnonzero(~np.isnan(self.money)).tolist():
            entity = self.entities[place]
            if entity is not None and (column is None or column[place] == value):
                places.setdefault(entity, place)
        return places

    def requests(self, segment: str = "", value: str = "") -> float:
        """Requests that the version answered; of one value of a segment, or of all."""
        counted = self.answered
        if segment:
            counted = counted & np.array([one == value for one in self.segments[segment]], dtype=np.bool_)
        return float(self.stands_for[counted].sum())


def scores_of(use_case: UseCase, rows: pa.Table, version: str) -> VersionScores:
    """The rows of one version.

    Args:
        use_case: task, money and segments.
        rows: of `ServedPredictions.rows_since`.
        version: whose rows.
    """
    own = rows.filter(pc.equal(rows["version"], version))
    decisions = _decisions(use_case, own["decision"].to_pylist())
    return VersionScores(
        times=_seconds(own["requested_at"]),
        outcomes=own["decision" if use_case.task.is_multiclass else "score"].to_pylist(),
        entities=own["entity"].to_pylist(),
        decisions=decisions,
        money=_money(use_case, decisions, own["label"].to_pylist()),
        known_at=_seconds(own["label_known_at"]),
        answered=np.array(own["answered"].to_pylist(), dtype=np.bool_),
        stands_for=own["stands_for"].to_numpy().astype(np.float64),
        segments={name: own[name].to_pylist() for name in use_case.segments},
    )


def values_in_order(champion: VersionScores, challenger: VersionScores, segment: str) -> Iterator[str]:
    """Values of a segment, in the order in which they turned up: an order that no result has chosen, and that stays."""
    times = np.concatenate([champion.times, challenger.times])
    column = [*champion.segments[segment], *challenger.segments[segment]]
    seen: set[str] = set()
    for place in np.argsort(times, kind="stable").tolist():
        value = column[place]
        if value is not None and value not in seen:
            seen.add(value)
            yield value


def _seconds(instants: pa.ChunkedArray) -> Values:
    micros = instants.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return np.asarray(pc.divide(micros.cast(pa.float64()), 1e6).to_numpy(), dtype=np.float64)


def _decisions(use_case: UseCase, texts: Sequence[str]) -> Decisions:
    if use_case.task.is_multiclass:
        index = {name: number for number, name in enumerate(use_case.label.classes)}
        return np.array([index[text] for text in texts], dtype=np.int64)
    if use_case.task.is_regression:
        return np.array([float(text) for text in texts], dtype=np.float64)
    return np.array([text == "true" for text in texts], dtype=np.bool_)


def _money(use_case: UseCase, decisions: Decisions, labels: Sequence[object]) -> Money:
    """Money of each decision; NaN where no label has come."""
    found = np.full(len(labels), np.nan)
    known = [place for place, label in enumerate(labels) if label is not None]
    if not known:
        return found
    came = [labels[place] for place in known]
    if use_case.task.is_multiclass:
        index = {name: number for number, name in enumerate(use_case.label.classes)}
        came = [index[str(name)] for name in came]
    kind = np.float64 if use_case.task.is_regression else np.int64 if use_case.task.is_multiclass else np.bool_
    found[known] = money(use_case.business.value, np.array(came, dtype=kind), decisions[known], use_case.label.classes)
    return found
