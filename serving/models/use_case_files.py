"""The use cases as they are written now, each for itself: a mistake in one touches no other.

Of each, the last file that could be read is kept beside the bundles. Where the file of today has a mistake, that one counts,
after a restart as well: an edit that goes wrong must not stop an app that is answered now.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from noria.core.catalog import FILE_NAME, load_use_case
from noria.core.errors import UseCaseError
from noria.core.use_case import UseCase

_log = logging.getLogger(__name__)


class UseCaseFiles:
    """Reads `<root>/<name>/use_case.yaml` of every use case.

    Attributes:
        troubles: what is wrong in a file, and what counts instead, by use case.
    """

    def __init__(self, root: Path, kept: Path) -> None:
        """Read nothing yet.

        Args:
            root: where use cases are written.
            kept: where the last files that could be read are; made when the first one is.
        """
        self._root = root
        self._kept = kept
        self._seen: Mapping[str, tuple[int, int]] = {}
        self.troubles: Mapping[str, str] = {}

    @property
    def changed(self) -> bool:
        """Whether a file was added, edited or removed since they were read."""
        return _fingerprint(self._root) != self._seen

    def read(self) -> Mapping[str, UseCase]:
        """Every use case that can be read, now or as it was when it last could be.

        Raises:
            UseCaseError: none of them can; lists every problem.
        """
        self._seen = _fingerprint(self._root)  # first: an edit from here on is seen next time
        found: dict[str, UseCase] = {}
        errors: dict[str, UseCaseError] = {}
        for name in sorted(self._seen):
            try:
                found[name] = load_use_case(self._root / name / FILE_NAME)
            except UseCaseError as error:
                errors[name] = error
                if before := self._before(name):
                    found[name] = before
            else:
                self._keep(name)
        if errors and not found:
            raise UseCaseError([problem for error in errors.values() for problem in error.problems])
        self._report({name: _told(error, served=name in found) for name, error in errors.items()})
        return found

    def _before(self, name: str) -> UseCase | None:
        try:
            return load_use_case(self._kept / name / FILE_NAME)
        except UseCaseError:
            return None

    def _keep(self, name: str) -> None:
        place = self._kept / name / FILE_NAME
        try:
            content = (self._root / name / FILE_NAME).read_bytes()
            if place.exists() and place.read_bytes() == content:
                return
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(prefix=".keeping-", dir=place.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(draft).replace(place)
        except OSError as error:
            _log.error("%s: after an edit that goes wrong, a restart would not know it any more: %s", name, error)

    def _report(self, troubles: Mapping[str, str]) -> None:
        for name, told in troubles.items():
            if self.troubles.get(name) != told:
                _log.error("%s: %s", name, told)
        self.troubles = troubles


def _told(error: UseCaseError, *, served: bool) -> str:
    instead = "it is answered as it was written before" if served else "it is not served"
    return f"{instead}, for its file has a mistake: {error}"


def _fingerprint(root: Path) -> Mapping[str, tuple[int, int]]:
    found = {}
    for path in root.glob(f"*/{FILE_NAME}"):
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        found[path.parent.name] = (facts.st_mtime_ns, facts.st_size)
    return found
