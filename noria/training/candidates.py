"""Kinds of model that a search may try. A new kind is one class and one entry here."""

from __future__ import annotations

from collections.abc import Mapping

from noria.training.candidate import Candidate
from noria.training.gradient_boosting import GradientBoosting
from noria.training.linear import Linear

CANDIDATES: Mapping[str, Candidate] = {"linear": Linear(), "gradient_boosting": GradientBoosting()}
