"""Scores of validation rows, kept per completed trial, so that a blend can be chosen without fitting anything again.

One small file per trial beside the snapshot: float32, all folds one after another. A file is written beside its place and
renamed, so that a killed worker leaves none that is half written; a blend makes do without a trial whose file is missing.
They are taken away when what was found is registered.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from noria.core.base.results import SnapshotRef
from noria.core.model.decision import Scores
from noria.core.use_case import UseCase
from noria.io.atomic import SHARED, draft_in, publish
from noria.training.search.plan import study_name

_log = logging.getLogger(__name__)


def forget_search(use_case: UseCase, snapshot: SnapshotRef) -> None:
    """Take away what the trials of a training set's study kept; what they came to is in the study, and in the registry."""
    HeldOutScores.of(snapshot, study_name(use_case, snapshot)).forget()


@dataclass(frozen=True)
class HeldOutScores:
    """Where the trials of one study keep the scores of their validation rows."""

    folder: Path

    @classmethod
    def of(cls, snapshot: SnapshotRef, study: str) -> HeldOutScores:
        """The place of a study, beside its snapshot, which every worker can reach."""
        name = hashlib.sha256(study.encode()).hexdigest()[:16]
        return cls(Path(snapshot.path).parent / f"{snapshot.digest[:16]}.search" / name)

    def keep(self, number: int, scores: Sequence[Scores]) -> None:
        """Keep the scores of a trial's folds, one array per fold."""
        path = self.folder / f"{number}.npy"
        try:
            with draft_in(self.folder, suffix=".npy") as draft:
                np.save(draft, np.concatenate(scores).astype(np.float32), allow_pickle=False)
                publish(draft, path, mode=SHARED)
        except OSError as error:
            _log.warning("trial %d cannot be part of a blend: its scores could not be kept (%s)", number, error)

    def read(self, number: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32] | None:
        """The scores of a trial, all folds one after another; None where they were not kept, or are of another shape."""
        try:
            scores: npt.NDArray[np.float32] = np.load(self.folder / f"{number}.npy", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return scores if scores.shape == shape and scores.dtype == np.float32 else None

    def forget(self) -> None:
        """Take everything away, once what the study found is registered; harmless when it is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # another study of the same snapshot keeps its own there
            self.folder.parent.rmdir()
