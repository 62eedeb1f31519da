"""Files with which processes of one folder, and later starts, learn of challengers that were rolled back.

rollouts/<use case>.json    the last `GuardReport` of that use case
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from noria.core.lifecycle.rollout import GuardReport
from noria.io.atomic import write_atomically


class GuardReports:
    """One file for each use case; several processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, int] = {}

    def read(self, use_case: str) -> GuardReport | None:
        """The last report; None if there is none, or it cannot be read."""
        try:
            return GuardReport.model_validate_json(self._path(use_case).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, use_case: str, report: GuardReport) -> None:
        """Replace the last report.

        Raises:
            OSError: it cannot be written.
        """
        write_atomically(self._path(use_case), report.model_dump_json())

    def changed(self, use_case: str) -> bool:
        """Whether the file was written since the last time that this was asked."""
        try:
            written = self._path(use_case).stat().st_mtime_ns
        except OSError:
            return False
        before, self._seen[use_case] = self._seen.get(use_case), written
        return written != before

    def _path(self, use_case: str) -> Path:
        return self._folder / f"{use_case}.json"
