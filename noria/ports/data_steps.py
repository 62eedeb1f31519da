"""The port of the data steps: bring an interval's rows in, check them, and make features and labels of them."""

from __future__ import annotations

from typing import Literal, Protocol

from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult, QualityResult, TransformResult
from noria.core.use_case import UseCase

CheckedStage = Literal["raw", "features"]
"""Rows as sources have brought them, or as the transform step has made them."""


class DataSteps(Protocol):
    """Steps over one interval of a use case. Each replaces the interval whole, so it can be run again."""

    def ingest(self, use_case: UseCase, interval: Interval) -> IngestResult:
        """Replace the interval in every raw table, and bring what is missing of the lookback before it.

        Raises:
            SourceError: a source cannot be read, or lacks a column.
        """
        ...

    def validate(self, use_case: UseCase, interval: Interval, stage: CheckedStage) -> QualityResult:
        """Hold the interval's rows against the use case's expectations of a stage.

        Raises:
            QualityError: a critical expectation failed; says which rows.
            TransformError: the features were never built.
        """
        ...

    def transform(self, use_case: UseCase, interval: Interval) -> TransformResult:
        """Build and test the interval's features and labels.

        Raises:
            TransformError: a model or a test failed; names it, with the rows that fail.
        """
        ...
