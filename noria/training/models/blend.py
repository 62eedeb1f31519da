"""Blends: several trials of the search averaged into one model, if that is better than the best of them.

Margins are averaged (log odds, log probabilities, numbers), which is the logarithmic opinion pool (Genest and Zidek, 1986):
contributions stay exact, and one ONNX graph and one encoder hold all members, so serving sees a model like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from noria.core.model.decision import Labels, Scores
from noria.core.model.encoder_columns import Matrix
from noria.core.model.explainer import ExplainerPart
from noria.training.data.cross_folds import cross_folds
from noria.training.data.search_metric import Metric
from noria.training.data.target import PredictionTarget
from noria.training.models.base.estimator import Params
from noria.training.models.base.margin import FittedEstimator, Margins, margins_of, scores_of
from noria.training.models.base.onnx_graph import GraphPart, columns, reading, weighted_sum
from noria.training.models.log_target import learns_logarithms

MOST_MEMBERS = 5
MOST_OF_A_KIND = 6
STEPS = 20
"""Greedy picks; a member's weight is its share of them."""
Positions = npt.NDArray[np.intp]
Quality = Callable[[Margins, Positions], float]
"""Search metric of the margins of some rows; higher is better."""


@dataclass(frozen=True)
class BlendMember:
    """One model of a blend.

    Attributes:
        candidate: kind of model.
        params: its hyperparameters, with the fitted ones.
        weight: its share of the margin; all shares add up to 1.
        number: of its trial.
    """

    candidate: str
    params: Params
    weight: float
    number: int = -1


@dataclass(frozen=True, eq=False)
class BlendCandidate:
    """A completed trial with its scores of the validation rows.

    Attributes:
        candidate: kind of model.
        params: its hyperparameters, with the fitted ones.
        number: of the trial.
        scores: the same rows for all candidates; shape ``(rows,)`` or ``(rows, classes)``.
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
        gain: by how much it is better than the best single trial, out of fold; above 0.
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
        terms = (w * e.margins(part) for w, e, part in zip(self.weights, self.estimators, parts, strict=True))
        return np.asarray(sum(terms), dtype=np.float64)

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """The members' SHAP values, weighted; shape ``(rows, outputs, width)``."""
        parts = self._parts(matrix)
        terms = [w * e.contributions(part) for w, e, part in zip(self.weights, self.estimators, parts, strict=True)]
        return np.concatenate(terms, axis=2)

    def explained(self) -> tuple[ExplainerPart, ...]:
        """Explainer parts of the members, each at the position of its columns and with its weight."""
        starts = np.cumsum((0, *self.widths)).tolist()
        members = zip(self.estimators, starts, self.weights, strict=False)
        return tuple(part.placed(first, weight) for one, first, weight in members for part in one.explained())

    def part(self, name: str) -> GraphPart:
        """The ONNX nodes from encoded rows to margins."""
        members: list[GraphPart] = []
        first = 0
        for index, (estimator, width) in enumerate(zip(self.estimators, self.widths, strict=True)):
            own, input_columns = estimator.part(f"{name}_{index}"), columns(first, width, f"{name}_{index}")
            read = reading(own, input_columns.output)
            constants = (*input_columns.constants, *read.constants)
            members.append(GraphPart((*input_columns.nodes, *read.nodes), constants, read.output))
            first += width
        return weighted_sum(members, self.weights, name)

    def _parts(self, matrix: Matrix) -> list[Matrix]:
        ends = np.cumsum(self.widths)
        return [np.ascontiguousarray(matrix[:, end - width : end]) for end, width in zip(ends, self.widths, strict=True)]


def select_blend(
    candidates: Sequence[BlendCandidate], labels: Labels, target: PredictionTarget, metric: Metric, *, lower_is_better: bool
) -> BlendSelection | None:
    """The blend to use instead of the best trial; None if it is not better by more than noise.

    Weights are chosen greedily with replacement (Caruana et al., "Ensemble Selection from Libraries of Models", 2004). Each
    fifth of the rows is predicted with weights, and compared with a best trial, that were chosen on the others. The mean
    gain must exceed its standard error. If some members learn the label and others its logarithm, any gain is enough
    (docs/adr/0013-search.md). The same candidates in the same order give the same blend.

    Args:
        candidates: completed trials.
        labels: of the validation rows; shape ``(rows,)``.
        target: what is predicted.
        metric: the search metric.
        lower_is_better: whether the metric is a loss.
    """
    sign = -1.0 if lower_is_better else 1.0

    def quality(margins: Margins, rows: Positions) -> float:
        return sign * metric(labels[rows], scores_of(target, margins))

    strongest = _strongest(candidates, lambda one: sign * metric(labels, one.scores))
    if len(strongest) < 2:
        return None
    margins, every_row = [margins_of(target, one.scores) for one in strongest], np.arange(len(labels))
    gain, error = _gain(margins, quality, len(labels))
    _, weights = _greedy(margins, every_row, quality)
    both_scales = len({learns_logarithms(strongest[index].params) for index in weights}) == 2
    if len(weights) < 2 or not np.isfinite(gain) or not gain > (0.0 if both_scales else error):
        return None
    members = tuple(_member(strongest[index], weight) for index, weight in weights.items())
    return BlendSelection(members, sign * quality(_mixed(margins, weights, every_row), every_row), gain)


def _gain(margins: Sequence[Margins], quality: Quality, rows: int) -> tuple[float, float]:
    """Mean out-of-fold gain of a blend over the best single trial, and its standard error."""
    gains = []
    for others, own in cross_folds(rows):
        chosen_on, judged_on = np.flatnonzero(others), np.flatnonzero(own)
        best, weights = _greedy(margins, chosen_on, quality)
        gains.append(quality(_mixed(margins, weights, judged_on), judged_on) - quality(margins[best][judged_on], judged_on))
    return float(np.mean(gains)), float(np.std(gains, ddof=1)) / len(gains) ** 0.5


def _member(candidate: BlendCandidate, weight: float) -> BlendMember:
    return BlendMember(candidate.candidate, candidate.params, weight, candidate.number)


def _strongest(candidates: Sequence[BlendCandidate], quality: Callable[[BlendCandidate], float]) -> list[BlendCandidate]:
    """The best of each kind, in the order of their trials: more would cost time and add noise.

    Models of logarithms count as a kind of their own: their errors differ from those of models of the label, which is what
    makes a blend better than its members.
    """
    ranked = sorted(candidates, key=lambda one: (-quality(one), one.number))
    kept: dict[tuple[str, bool], list[BlendCandidate]] = {}
    for one in ranked:
        alike = kept.setdefault((one.candidate, learns_logarithms(one.params)), [])
        if len(alike) < MOST_OF_A_KIND:
            alike.append(one)
    return sorted((one for alike in kept.values() for one in alike), key=lambda one: one.number)


def _greedy(margins: Sequence[Margins], rows: Positions, quality: Quality) -> tuple[int, Mapping[int, float]]:
    """Index of the best single candidate, and weights by index of at most `MOST_MEMBERS`, chosen on some rows."""
    own = [one[rows] for one in margins]
    alone = [quality(one, rows) for one in own]
    best = int(np.argmax(alone))
    picks, total, reached = [best], own[best].copy(), alone[best]
    for _ in range(STEPS - 1):
        allowed = sorted(set(picks)) if len(set(picks)) == MOST_MEMBERS else list(range(len(own)))
        qualities = [quality((total + own[index]) / (len(picks) + 1), rows) for index in allowed]
        index = int(np.argmax(qualities))
        if qualities[index] < reached:
            break
        picks.append(allowed[index])
        total, reached = total + own[allowed[index]], qualities[index]
    return best, {index: picks.count(index) / len(picks) for index in sorted(set(picks))}


def _mixed(margins: Sequence[Margins], weights: Mapping[int, float], rows: Positions) -> Margins:
    return np.asarray(sum(weight * margins[index][rows] for index, weight in weights.items()), dtype=np.float64)
