"""Results that pipeline steps hand on: references and small facts, never data. Each is JSON of well under 1 kB."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """Base of all results; `model_dump(mode="json")` is what travels between tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IngestResult(Result):
    """Rows that an interval now has, per source."""

    rows: dict[str, int]
    filled: int = 0
    """Rows of the lookback before the interval that no other run had brought yet."""


class QualityResult(Result):
    """Outcome of a suite; a critical failure is raised as QualityError instead."""

    suite: str
    expectations: int
    warnings: tuple[str, ...] = ()


class TransformResult(Result):
    """Rows that an interval now has, per dbt model, and a digest of them."""

    rows: dict[str, int]


class SnapshotRef(Result):
    """A training set frozen as content-addressed Parquet."""

    digest: str
    """SHA-256 of the file."""
    path: str
    as_of: str
    """Nothing that became known after this instant is in it."""
    rows: int
    positives: int = 0
    """Binary classification: rows of the positive class."""


class SearchResult(Result):
    """Work of one search worker."""

    study: str
    trials: int
    best_value: float | None


class VersionRef(Result):
    """A version in the registry and its verdict."""

    version: str
    bundle_digest: str
    run_id: str
    passed: bool
    """Whether every enforced gate passed."""
    summary: str
    """One line: metrics against the baseline, and any failed gate."""
    champion: str
    """The version that served when the gates were checked; promotion fails if it has moved."""


class PromotionResult(Result):
    """Outcome of a candidate."""

    promoted: bool
    version: str
    previous: str
    reason: str


class ScoreResult(Result):
    """Batch predictions of an interval."""

    version: str
    rows: int
    digest: str
    """SHA-256 over (entity, score) in order."""


class MonitorResult(Result):
    """Verdict over an interval, and where its report lies."""

    version: str
    verdict: str
    """`stable`, `drift`, `quality_loss` or `too_few_rows`."""
    report: str
    """Path of the HTML report; empty for version 0, which has no reference set."""
    summary: str


class NotifyResult(Result):
    """An e-mail's delivery."""

    message_id: str
    recipients: tuple[str, ...]
    delivered_now: bool
    """False where the same report had been delivered before."""


class RetrainResult(Result):
    """Whether training is woken."""

    retrain: bool
    as_of: str
    reason: str


class VerificationResult(Result):
    """Whether a version came out the same when it was made again from what its registry entry says."""

    version: str
    same_snapshot: bool
    same_bundle: bool
    same_search: bool | None
    """None where the search was not repeated: several workers, or a time limit, drew its trials."""
    differences: tuple[str, ...] = ()
    """What came out otherwise, in words."""

    @property
    def reproduced(self) -> bool:
        """Whether everything that was made again came out the same."""
        return self.same_snapshot and self.same_bundle and self.same_search is not False
