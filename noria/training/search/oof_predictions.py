"""Scores of validation rows, stored per completed trial, so that a blend can be chosen without fitting again.

One small file per trial beside the snapshot: float32, all folds one after another. Files are written in one step, so a
killed worker leaves no incomplete one; a blend leaves out a trial whose file is missing. They are deleted after
registration.
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
    """Delete the stored scores of a training set's study; its result is in the study and in the registry."""
    HeldOutScores.of(snapshot, study_name(use_case, snapshot)).forget()


@dataclass(frozen=True)
class HeldOutScores:
    """Stored scores of one study.

    Attributes:
        folder: of the files.
    """

    folder: Path

    @classmethod
    def of(cls, snapshot: SnapshotRef, study: str) -> HeldOutScores:
        """Those of a study, beside its snapshot, where every worker can read them."""
        name = hashlib.sha256(study.encode()).hexdigest()[:16]
        return cls(Path(snapshot.path).parent / f"{snapshot.digest[:16]}.search" / name)

    def keep(self, number: int, scores: Sequence[Scores]) -> None:
        """Store the scores of a trial; a failure is logged, and the trial is left out of blends.

        Args:
            number: of the trial.
            scores: of each fold, shape ``(rows,)`` or ``(rows, classes)``.
        """
        path = self.folder / f"{number}.npy"
        try:
            with draft_in(self.folder, suffix=".npy") as draft:
                np.save(draft, np.concatenate(scores).astype(np.float32), allow_pickle=False)
                publish(draft, path, mode=SHARED)
        except OSError as error:
            _log.warning("trial %d cannot be part of a blend: its scores could not be stored (%s)", number, error)

    def read(self, number: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32] | None:
        """The scores of a trial, all folds one after another; None if they are missing or have another shape."""
        try:
            scores: npt.NDArray[np.float32] = np.load(self.folder / f"{number}.npy", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return scores if scores.shape == shape and scores.dtype == np.float32 else None

    def forget(self) -> None:
        """Delete the scores; harmless if there are none."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # another study of the same snapshot has its own there
            self.folder.parent.rmdir()
