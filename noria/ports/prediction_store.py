"""The ports of predictions: those of a batch, and those that serving has given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from noria.core.base.interval import Interval
from noria.core.base.results import ScoreResult
from noria.core.model.decision import Decisions, Scores
from noria.core.use_case import UseCase


class BatchPredictions(Protocol):
    """One prediction per entity of an interval, replaced whole with the interval."""

    def replace(  # noqa: PLR0917 - the parts of one result, which jobs has at hand
        self,
        use_case: UseCase,
        interval: Interval,
        version: str,
        rows: pa.Table,
        scores: Scores,
        decisions: Decisions,
        classes: Sequence[str] = (),
    ) -> ScoreResult:
        """Replace the interval's predictions: all of them, or none if the process ends before.

        Args:
            use_case: whose they are.
            interval: which rows are replaced.
            version: the model version that gave the scores.
            rows: have the entity and the event time, one row per score.
            scores: of shape ``(rows,)``, or probabilities of the classes, of shape ``(rows, classes)``.
            decisions: yes or no, the index of a class, or a number; of shape ``(rows,)``.
            classes: names of the columns of two-dimensional scores; `label.classes` where none are given.

        Raises:
            ValueError: scores, decisions and classes do not fit each other.
        """
        ...

    def read(self, use_case: UseCase, interval: Interval, as_of: datetime) -> pa.Table:
        """Predictions of the interval, with the labels that had arrived by `as_of`, ordered by event time and entity.

        Columns: entity and event time under the use case's names, `version`, `score` (probability of yes or of the class
        decided on, or the number predicted), `decision` (text), `probabilities` (JSON by class; null unless there are
        classes), and `label` as the task has it: the warehouse's, else what apps have reported, else null.

        Raises:
            TransformError: the labels were never built, or one is not what the task asks for.
        """
        ...


class ServedPredictions(Protocol):
    """Predictions that serving has given over REST, shadow rows included."""

    def rows_since(self, use_case: UseCase, versions: tuple[str, str], since: datetime, as_of: datetime) -> pa.Table:
        """Rows that either version scored since an instant, in the order of the requests.

        Columns: `version`, `requested_at`, `entity` (null where the app gave none), `score`, `decision` (text), `answered`
        (false where no app got the answer, in shadow mode), `stands_for` (requests that a row stands for: 1, or more where
        a sample of the entities was read), each segment of the use case under its name (text), `label` as the task has it
        and `label_known_at` (both null where none had come by `as_of`).

        Args:
            use_case: whose rows.
            versions: champion and challenger.
            since: when the rollout began.
            as_of: labels that became known later are left out.

        Raises:
            TransformError: a label is not what the task asks for.
        """
        ...

    def count_since(self, use_case: UseCase, version: str, since: datetime) -> int:
        """Rows that a version has scored since an instant; a large number may be cut off."""
        ...

    def any_since(self, use_case: UseCase, since: datetime) -> bool:
        """Whether any version has scored anything since an instant."""
        ...
