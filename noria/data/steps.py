"""The steps of the data pipeline on PostgreSQL, with Great Expectations and dbt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from noria.core.base.clock import Clock
from noria.core.base.interval import Interval
from noria.core.base.results import IngestResult, QualityResult, TransformResult
from noria.core.use_case import UseCase
from noria.data.postgres.warehouse import Warehouse
from noria.ports.data_steps import CheckedStage

if TYPE_CHECKING:
    from noria.data.ingest.sources import SourceUrl


@dataclass(frozen=True)
class WarehouseSteps:
    """`noria.ports.data_steps.DataSteps` on a warehouse. A step imports its library when it runs.

    Attributes:
        warehouse: where the rows are.
        clock: gives the time of an ingest.
        use_cases: folder of the use cases' folders.
        dbt_project: folder of the dbt project.
        dbt_state: gets dbt's artifacts and logs.
        source_url: URL of a database source by its name.
        pseudonym_key: secret of the pseudonyms; empty where no source asks for them.
    """

    warehouse: Warehouse
    clock: Clock
    use_cases: Path
    dbt_project: Path
    dbt_state: Path
    source_url: SourceUrl
    pseudonym_key: str = field(default="", repr=False)

    def ingest(self, use_case: UseCase, interval: Interval) -> IngestResult:
        """Replace the interval in every raw table."""
        from noria.data.ingest.ingest import ingest

        return ingest(
            self.warehouse,
            use_case,
            self.use_cases / use_case.name,
            interval,
            pseudonym_key=self.pseudonym_key,
            source_url=self.source_url,
            now=self.clock.now(),
        )

    def validate(self, use_case: UseCase, interval: Interval, stage: CheckedStage) -> QualityResult:
        """Hold the interval's rows against the suites of a stage."""
        from noria.data.quality.validation import validate

        return validate(self.warehouse, use_case, self.use_cases / use_case.name, interval, stage)

    def transform(self, use_case: UseCase, interval: Interval) -> TransformResult:
        """Build and test the interval's features and labels with dbt."""
        from noria.data.transform.dbt_run import transform

        return transform(self.warehouse, use_case, interval, self.dbt_project, self.dbt_state)
