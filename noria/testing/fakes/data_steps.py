"""The data steps without sources, dbt or Great Expectations; the contract suite runs over them and the real ones."""

from __future__ import annotations

from noria.core.base.errors import QualityError, SourceError, TransformError
from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult, QualityResult, TransformResult
from noria.core.use_case import UseCase
from noria.ports.data_steps import CheckedStage

_ROWS = 3


class RecordingDataSteps:
    """`noria.ports.data_steps.DataSteps` that bring no rows: they record what was done.

    Attributes:
        done: step and interval of every step that succeeded, in order.
        broken: steps that fail, such as ``ingest`` or ``validate raw``; a test fills it.
    """

    def __init__(self) -> None:
        self.done: list[tuple[str, Interval]] = []
        self.broken: set[str] = set()

    def ingest(self, use_case: UseCase, interval: Interval) -> IngestResult:
        """Say that each source has three rows."""
        if "ingest" in self.broken:
            raise SourceError("the source was made to fail")
        self.done.append(("ingest", interval))
        return IngestResult(rows={source.name: _ROWS for source in use_case.sources})

    def validate(self, use_case: UseCase, interval: Interval, stage: CheckedStage) -> QualityResult:
        """Find no fault, unless it is made to fail."""
        if stage == "features" and not any(step == "transform" for step, _ in self.done):
            raise TransformError(f"features.{use_case.features.model} does not exist: run the transform step first")
        if f"validate {stage}" in self.broken:
            raise QualityError(f"{stage} of {interval} were made to fail")
        self.done.append((f"validate {stage}", interval))
        return QualityResult(suite=stage, expectations=1)

    def transform(self, use_case: UseCase, interval: Interval) -> TransformResult:
        """Say that features and labels have three rows."""
        if "transform" in self.broken:
            raise TransformError("a model was made to fail")
        self.done.append(("transform", interval))
        return TransformResult(rows={use_case.features.model: _ROWS, use_case.label.model: _ROWS})
