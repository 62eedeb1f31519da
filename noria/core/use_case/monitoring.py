"""When things run, who gets the reports, and what counts as drift."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from noria.core.base.interval import Cadence, Interval
from noria.core.use_case.fields import Duration, Email, Frozen


class Schedule(Frozen):
    """When things run, in UTC."""

    data: Cadence
    """Length of an interval of data, scores and monitoring."""
    train: str
    """Cron expression of planned training."""
    start: date
    """First day of data."""
    end: date | None = None
    """Day after the last day of data, for a data set that has ended; null for one that continues."""

    @property
    def span(self) -> Interval | None:
        """The whole time of a data set that has ended; None for one that goes on.

        Example:
            >>> str(Schedule(data="@daily", train="0 6 * * 1", start="2013-01-01", end="2014-01-01").span)
            '[2013-01-01, 2014-01-01)'
        """
        if self.end is None:
            return None
        return Interval(_midnight(self.start), _midnight(self.end))


class DriftPolicy(Frozen):
    """When a change in the data counts as drift: an effect size and a minimum of rows, independent of the sample size."""

    effect_size: float = Field(default=0.1, gt=0, lt=1)
    """Distance between reference and current (Jensen-Shannon distance, 0 to 1) above which a feature has drifted."""
    min_rows: int = Field(default=500, ge=1)
    """Minimum of rows for a verdict."""
    share_of_features: float = Field(default=0.3, gt=0, le=1)
    """Share of features that must drift for the data to count as drifted."""
    metric_drop: float = Field(default=0.05, gt=0, lt=1)
    """Classes: drop of ROC AUC (of several classes, the mean of each against the rest) against the model's own evaluation
    that counts as a loss of quality."""
    error_rise: float = Field(default=0.25, gt=0)
    """Numbers: rise of the error (WAPE, the sum of errors as a share of the sum of labels) against the model's own
    evaluation that counts as a loss of quality, as a share of that: 0.25 is from 20 % to 25 %."""


class RetrainPolicy(Frozen):
    """When monitoring starts a training."""

    after: Annotated[str, StringConstraints(pattern=r"^\d+ of \d+$")] = "2 of 3"
    """`k of n`: at least k of the last n verdicts say drift or loss of quality."""
    cooldown: Duration = timedelta(days=7)
    """Minimum of event time between two retrain requests."""
    min_new_labels: int = Field(default=500, ge=0)
    """Minimum of new labels since the champion was trained."""

    @property
    def needed(self) -> int:
        """The k of `k of n`.

        Example:
            >>> policy = RetrainPolicy(after="2 of 3")
            >>> policy.needed, policy.window
            (2, 3)
        """
        return int(self.after.split(" of ")[0])

    @property
    def window(self) -> int:
        """The n of `k of n`."""
        return int(self.after.split(" of ")[1])


class Monitoring(Frozen):
    """Receivers of the reports, and limits of drift."""

    email: tuple[Email, ...] = Field(min_length=1)
    """E-mail addresses that get the reports."""
    drift: DriftPolicy = DriftPolicy()
    """What counts as drift."""
    retrain: RetrainPolicy = RetrainPolicy()
    """When monitoring starts a training."""


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
