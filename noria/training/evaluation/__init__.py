"""Judges a model on rows that nothing else has touched: `evaluate(use_case, judged)`."""

from noria.training.evaluation.judged import Judged
from noria.training.evaluation.report import evaluate

__all__ = ["Judged", "evaluate"]
