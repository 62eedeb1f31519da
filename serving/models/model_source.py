"""Keeps what is served equal to the use cases as they are written, and to the registry.

One thread makes rounds: edited use cases are taken up (`serving.models.use_case_files`), then each use case follows its
champion (`serving.models.champions`) and its rollout (`serving.models.challengers`). A failure on the way leaves what is
served as it is, and the next round tries again; a failure of one use case holds up no other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from noria.core.base.errors import RegistryError, SettingsError, UseCaseError
from noria.core.use_case import UseCase
from noria.io.poller import Poller, Trouble
from serving.models.challengers import Challengers
from serving.models.champions import Champions
from serving.models.registry_client import RegistryClient
from serving.models.use_case_files import UseCaseFiles

_log = logging.getLogger(__name__)


class RegistryMetrics(Protocol):
    """Metrics of asking the registry; `serving.observability.metrics.Metrics` has them."""

    def registry_answers(self, answers: bool) -> None:
        """Set whether the registry answered the last time it was asked."""
        ...


class ModelSource:
    """The rounds."""

    def __init__(
        self,
        files: UseCaseFiles,
        registry: RegistryClient,
        champions: Champions,
        challengers: Challengers,
        *,
        metrics: RegistryMetrics,
        poll_seconds: float,
    ) -> None:
        """Start nothing yet.

        Args:
            files: use cases as they are written.
            registry: says which versions are wanted.
            champions: follow the registry's champions.
            challengers: follow the registry's rollouts.
            metrics: say whether the registry answers.
            poll_seconds: pause between two rounds.
        """
        self._files = files
        self._registry = registry
        self._champions = champions
        self._challengers = challengers
        self._metrics = metrics
        self._use_cases: Mapping[str, UseCase] = {}
        """As they are written now; a version may still answer for one as it was."""
        self._poller = Poller(self.refresh, name="model-source", seconds=poll_seconds)
        self._trouble = Trouble(
            _log, "the served versions stay as they are: %s", "the registry answers", "the registry was not asked yet"
        )

    @property
    def trouble(self) -> str:
        """Reason why the registry does not answer; empty if it does."""
        return self._trouble.reason

    @property
    def refused(self) -> Mapping[str, str]:
        """Reasons why a champion is not served, or answers for its use case as it was before an edit; by use case."""
        return self._champions.refused

    @property
    def mistakes(self) -> Mapping[str, str]:
        """Mistakes in files of use cases, and what is served instead; by use case."""
        return self._files.mistakes

    def restore(self) -> None:
        """Serve the versions that answered last, from disk, or baselines; needs no registry.

        Raises:
            UseCaseError: no use case can be read.
            SettingsError: a field is to be pseudonymised, and there is no key.
        """
        self._take_up_changes()

    def start(self, patience: float = 10.0) -> None:
        """Begin; returns after the first round, so that a new replica does not answer with baselines for a moment.

        Args:
            patience: longest wait for a slow registry in seconds.
        """
        self._poller.start(patience)

    def stop(self) -> None:
        """Ask no more."""
        self._poller.stop()
        self._registry.close()

    def wake(self) -> None:
        """Make the next round now instead of in a few seconds."""
        self._poller.wake()

    def refresh(self) -> None:
        """Make one round."""
        if self._files.changed:
            try:
                self._take_up_changes()
            except (UseCaseError, SettingsError) as error:
                _log.error("the use cases stay as they were: %s", error)
        trouble = ""
        for use_case in self._use_cases.values():
            try:
                self._follow(use_case)
            except RegistryError as error:
                trouble = str(error)
            except Exception:  # an unforeseen fault of one must not hold up the others
                _log.exception("%s: following the registry failed; what is served stays", use_case.name)
        self._trouble.report(trouble)
        self._metrics.registry_answers(not trouble)

    def _follow(self, use_case: UseCase) -> None:
        view = self._registry.view(use_case.name)
        model = self._champions.follow(use_case, view.champion)
        self._challengers.follow(use_case, model, view)

    def _take_up_changes(self) -> None:
        """Take up use cases that were added, edited or removed."""
        use_cases, before = self._files.read(), self._use_cases
        self._champions.declare(use_cases.values())
        self._use_cases = use_cases
        for gone in before.keys() - use_cases.keys():
            self._champions.forget(gone)
            self._challengers.forget(gone)
        for use_case in use_cases.values():
            if use_case != before.get(use_case.name):
                self._champions.take_up(use_case)
