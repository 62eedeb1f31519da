"""Use cases as they are written now, each by itself: a mistake in one touches no other.

The last file of each use case that could be read is kept beside the bundles. While the present file has a mistake, the kept
one counts, also after a restart: an edit that goes wrong must not stop an app that is answered now.
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
        mistakes: mistake in the file, and what is served instead, by use case.
    """

    def __init__(self, root: Path, kept: Path) -> None:
        """Read nothing yet.

        Args:
            root: folder of the use cases.
            kept: folder of the last files that could be read; made when the first one is.
        """
        self._root = root
        self._kept = kept
        self._seen: Mapping[str, tuple[int, int]] = {}
        self.mistakes: Mapping[str, str] = {}

    @property
    def changed(self) -> bool:
        """Whether a file was added, edited or removed since the last `read`."""
        return _fingerprint(self._root) != self._seen

    def read(self) -> Mapping[str, UseCase]:
        """Every use case that can be read, now or as it was when it last could be; by name, in order.

        Raises:
            UseCaseError: none of them can be read; lists every problem.
        """
        self._seen = _fingerprint(self._root)  # first: an edit from here on is seen next time
        catalog = load_catalog(self._root)
        for name in catalog.use_cases:
            self._keep(name)
        kept = {name: before for name in catalog.problems if (before := self._before(name))}
        use_cases = {**catalog.use_cases, **kept}
        if catalog.problems and not use_cases:
            catalog.require_valid()
        self._report({name: _mistake(problems, served=name in kept) for name, problems in catalog.problems.items()})
        return dict(sorted(use_cases.items()))

    def _before(self, name: str) -> UseCase | None:
        try:
            return load_use_case(self._kept / name / FILE_NAME)
        except UseCaseError:
            return None

    def _keep(self, name: str) -> None:
        path = self._kept / name / FILE_NAME
        try:
            content = (self._root / name / FILE_NAME).read_bytes()
            if not path.exists() or path.read_bytes() != content:
                write_atomically(path, content)
        except OSError as error:
            _log.error("%s: cannot be kept; after an edit that goes wrong, a restart would not serve it: %s", name, error)

    def _report(self, mistakes: Mapping[str, str]) -> None:
        for name, mistake in mistakes.items():
            if self.mistakes.get(name) != mistake:
                _log.error("%s: %s", name, mistake)
        self.mistakes = mistakes


def _mistake(problems: Sequence[Problem], *, served: bool) -> str:
    instead = "it is answered as it was written before" if served else "it is not served"
    return f"{instead}, for its file has a mistake: {UseCaseError(problems)}"


def _fingerprint(root: Path) -> Mapping[str, tuple[int, int]]:
    """Time and size of every file, by use case."""
    files = {}
    for path in root.glob(f"*/{FILE_NAME}"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        files[path.parent.name] = (status.st_mtime_ns, status.st_size)
    return files
