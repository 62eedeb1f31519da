"""A blend: several trials of the search averaged into one model, where that is better than the best of them.

Margins are averaged (log odds, log probabilities, numbers), which is the logarithmic opinion pool (Genest and Zidek, 1986):
contributions stay exact, and one ONNX graph and one encoder hold all members, so that serving sees a model like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels, Scores
from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import ExplainerPart
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Metric, Params
from noria.training.models.base.margin import FittedEstimator, Margins, margins_of, scores_of
from noria.training.models.base.onnx_graph import GraphPart, columns, reading, weighted_sum
from noria.training.models.log_target import learns_logarithms

MOST_MEMBERS = 5
MOST_OF_A_KIND = 6
STEPS = 20
"""Greedy picks; a member's weight is its share of them."""
PARTS = 5


@dataclass(frozen=True)
class BlendMember:
    """One model of a blend.

    Attributes:
        candidate: kind of model.
        params: its hyperparameters, with what its validation rows taught.
        weight: its share of the margin; all shares add up to 1.
        number: of its trial.
    """

    candidate: str
    params: Params
    weight: float
    number: int = -1


@dataclass(frozen=True, eq=False)
class BlendCandidate:
    """A completed trial and what it said of validation rows that it had not learnt from.

    Attributes:
        scores: the same rows for all contenders; shape ``(rows,)`` or ``(rows, classes)``.
    """

    candidate: str
    params: Params
    number: int
    scores: Scores


@dataclass(frozen=True)
class BlendSelection:
    """A blend that beats the best of its members.

    Attributes:
        members: what is averaged.
        value: the search metric on the validation rows.
        gain: by how much it beats the best single trial on rows that its weights were not chosen on (above 0).
    """

    members: tuple[BlendMember, ...]
    value: float
    gain: float


@dataclass(frozen=True, eq=False)
class BlendedModel:
    """Fitted members; the encoded matrix holds their columns side by side."""

    estimators: tuple[FittedEstimator, ...]
    widths: tuple[int, ...]
    weights: tuple[float, ...]

    def margins(self, matrix: Matrix) -> Margins:
        """Margins of encoded rows; shape ``(rows, outputs)``."""
        parts = self._parts(matrix)
        found = (w * e.margins(part) for w, e, part in zip(self.weights, self.estimators, parts, strict=True))
        return np.asarray(sum(found), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """The members' SHAP values, weighted; shape ``(rows, outputs, width)``."""
        parts = self._parts(matrix)
        found = [w * e.contributions(part) for w, e, part in zip(self.weights, self.estimators, parts, strict=True)]
        return np.concatenate(found, axis=2)

    def explained(self) -> tuple[ExplainerPart, ...]:
        """The members, each at the place of its columns and by its weight, to explain rows without this library."""
        starts = np.cumsum((0, *self.widths)).tolist()
        members = zip(self.estimators, starts, self.weights, strict=False)
        return tuple(part.placed(first, weight) for one, first, weight in members for part in one.explained())

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins."""
        members: list[GraphPart] = []
        first = 0
        for index, (estimator, width) in enumerate(zip(self.estimators, self.widths, strict=True)):
            own, place = estimator.part(f"{name}_{index}"), columns(first, width, f"{name}_{index}")
            read = reading(own, place.output)
            members.append(GraphPart((*place.nodes, *read.nodes), (*place.constants, *read.constants), read.output))
            first += width
        return weighted_sum(members, self.weights, name)

    def _parts(self, matrix: Matrix) -> list[Matrix]:
        ends = np.cumsum(self.widths)
        return [np.ascontiguousarray(matrix[:, end - width : end]) for end, width in zip(ends, self.widths, strict=True)]


def select_blend(
    contenders: Sequence[BlendCandidate], labels: Labels, target: PredictionTarget, metric: Metric, *, lower_is_better: bool
) -> BlendSelection | None:
    """The blend to take instead of the best trial; None where it is not better by more than noise.

    Weights are chosen greedily with replacement (Caruana et al., "Ensemble Selection from Libraries of Models", 2004). Every
    fifth of the rows is judged with weights, and against a best trial, that the other rows chose; the gains' mean must be
    more than their standard error. Of numbers that some members learnt as they are and others by their logarithm, any gain
    will do: halves of both were better than numbers as they are in 12 of 12 cases on rows held back and in 8 of 8 on rows
    that were never looked at, mostly by less than such an error, and where the logarithm alone goes far astray (a few rows
    unlike all others) the other half holds it. The same contenders in the same order give the same blend.

    Args:
        contenders: completed trials.
        labels: of the validation rows.
        goal: what is predicted.
        metric: the search metric.
        lower_is_better: whether it is a loss.
    """
    sign = -1.0 if lower_is_better else 1.0
    contenders = _strongest(contenders, lambda one: sign * metric(labels, one.scores))
    if len(contenders) < 2:
        return None
    margins = [margins_of(target, one.scores) for one in contenders]

    def quality(margin: Margins, rows: npt.NDArray[np.intp]) -> float:
        return sign * metric(labels[rows], scores_of(target, margin))

    turns, everything = np.arange(len(labels)) % PARTS, np.arange(len(labels))
    gains = []
    for turn in range(PARTS):
        chosen_on, judged_on = everything[turns != turn], everything[turns == turn]
        best, weights = _greedy([one[chosen_on] for one in margins], lambda m, r=chosen_on: quality(m, r))  # type: ignore[misc]
        ahead = quality(_mixed(margins, weights, judged_on), judged_on) - quality(margins[best][judged_on], judged_on)
        gains.append(ahead)
    gain, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / PARTS**0.5
    best, weights = _greedy(margins, lambda m: quality(m, everything))
    ways = {learns_logarithms(contenders[index].params) for index in weights}
    if len(weights) < 2 or not gain > (0.0 if len(ways) == 2 else error) or not np.isfinite(gain):
        return None
    members = tuple(
        BlendMember(contenders[index].candidate, contenders[index].params, weight, contenders[index].number)
        for index, weight in weights.items()
    )
    return BlendSelection(members, sign * quality(_mixed(margins, weights, everything), everything), gain)


def _strongest(contenders: Sequence[BlendCandidate], quality: Callable[[BlendCandidate], float]) -> list[BlendCandidate]:
    """The best of each kind, in the order of their trials: the others would cost time and bring noise.

    What learns logarithms is a kind of its own here: it is wrong elsewhere than what learns numbers as they are, which is
    what makes a blend better than its members.
    """
    ranked = sorted(contenders, key=lambda one: (-quality(one), one.number))
    kept: dict[tuple[str, bool], list[BlendCandidate]] = {}
    for one in ranked:
        alike = kept.setdefault((one.candidate, learns_logarithms(one.params)), [])
        if len(alike) < MOST_OF_A_KIND:
            alike.append(one)
    return sorted((one for some in kept.values() for one in some), key=lambda one: one.number)


def _greedy(margins: Sequence[Margins], quality: Callable[[Margins], float]) -> tuple[int, Mapping[int, float]]:
    """The best single one, and weights by index, of at most `MOST_MEMBERS`."""
    alone = [quality(one) for one in margins]
    best = int(np.argmax(alone))
    picks, total, reached = [best], margins[best].copy(), alone[best]
    for _ in range(STEPS - 1):
        allowed = sorted(set(picks)) if len(set(picks)) == MOST_MEMBERS else list(range(len(margins)))
        found = [quality((total + margins[index]) / (len(picks) + 1)) for index in allowed]
        index = int(np.argmax(found))
        if found[index] < reached:
            break
        picks.append(allowed[index])
        total, reached = total + margins[allowed[index]], found[index]
    return best, {index: picks.count(index) / len(picks) for index in sorted(set(picks))}


def _mixed(margins: Sequence[Margins], weights: Mapping[int, float], rows: npt.NDArray[np.intp]) -> Margins:
    return np.asarray(sum(weight * margins[index][rows] for index, weight in weights.items()), dtype=np.float64)
