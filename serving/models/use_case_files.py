"""The use cases as they are written now, each for itself: a mistake in one touches no other.

Of each, the last file that could be read is kept beside the bundles. Where the file of today has a mistake, that one counts,
after a restart as well: an edit that goes wrong must not stop an app that is answered now.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from noria.core.base.errors import Problem, UseCaseError
from noria.core.use_case import UseCase
from noria.io.atomic import write_atomically
from noria.io.catalog import FILE_NAME, load_catalog, load_use_case

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
        catalog = load_catalog(self._root)
        for name in catalog.use_cases:
            self._keep(name)
        kept = {name: before for name in catalog.problems if (before := self._before(name))}
        found = {**catalog.use_cases, **kept}
        if catalog.problems and not found:
            catalog.require_valid()
        self._report({name: _told(problems, served=name in kept) for name, problems in catalog.problems.items()})
        return dict(sorted(found.items()))

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
            write_atomically(place, content)
        except OSError as error:
            _log.error("%s: after an edit that goes wrong, a restart would not know it any more: %s", name, error)

    def _report(self, troubles: Mapping[str, str]) -> None:
        for name, told in troubles.items():
            if self.troubles.get(name) != told:
                _log.error("%s: %s", name, told)
        self.troubles = troubles


def _told(problems: Sequence[Problem], *, served: bool) -> str:
    instead = "it is answered as it was written before" if served else "it is not served"
    return f"{instead}, for its file has a mistake: {UseCaseError(problems)}"


def _fingerprint(root: Path) -> Mapping[str, tuple[int, int]]:
    found = {}
    for path in root.glob(f"*/{FILE_NAME}"):
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        found[path.parent.name] = (facts.st_mtime_ns, facts.st_size)
    return found
