"""What Prometheus may ask. Labels come from declared use cases and loaded versions alone, so nobody outside can add one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from noria.core.model.bundle import BASELINE_VERSION
from serving.contract.answers import Answers, Decision
from serving.models.served_model import ServedModel, ServedModels
from serving.observability.shared_metrics import sum_of_all_processes

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_NUMBERS = (-1e6, -1e4, -1e3, -100, -10, -1, 0, *(digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)), 1e6)
"""For any label's unit, since a histogram's steps are fixed: coarse below zero; 1, 2 and 5 of each power of ten above."""


@dataclass(frozen=True)
class RolloutFigure:
    """A rollout that is running, as the dashboard shows it.

    Attributes:
        share: percent of the requests that the challenger answers; 0 where it only shadows.
    """

    use_case: str
    challenger: str
    share: float


def _no_rollouts() -> Iterable[RolloutFigure]:
    return ()


def _no_limit() -> int | None:
    return None


class Metrics:
    """All counters of one app, in a registry of their own; shared with siblings, see `serving.observability.shared_metrics`.

    What is counted for each request keeps its counters by label set: looking one up costs a tenth of making its labels.
    """

    def __init__(
        self,
        models: ServedModels,
        backlog: Callable[[], tuple[int, int]],
        *,
        journal_limit: Callable[[], int | None] = _no_limit,
        rollouts: Callable[[], Iterable[RolloutFigure]] = _no_rollouts,
    ) -> None:
        """Make the counters.

        Args:
            models: whose versions are reported.
            backlog: gives segments and bytes of the prediction journal.
            journal_limit: gives the bytes that the journal may take; None for no limit.
            rollouts: gives the rollouts that are running.
        """
        # a second series beside every counter, which nobody asks for
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client left its types out
        registry = self._registry = CollectorRegistry()
        self._state = _State(models, backlog, journal_limit, rollouts)
        self._answered: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self._predicted: dict[tuple[str, str, str, str], Counter] = {}
        self._numbers: dict[tuple[str, str, str], Histogram] = {}
        self.requests = Counter(
            "noria_serving_requests",
            "Requests for predictions, by use case, version and alias that answered, and HTTP status.",
            ("use_case", "version", "alias", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "noria_serving_request_seconds",
            "Time from the first byte of a request for predictions to the last of its answer.",
            ("use_case", "version", "alias"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.predictions = Counter(
            "noria_serving_predictions",
            "Instances predicted, by use case, version, alias and decision: yes or no, a class of the use case, or number.",
            ("use_case", "version", "alias", "decision"),
            registry=registry,
        )
        self.numbers = Histogram(
            "noria_serving_predicted_number",
            "Numbers predicted, in the label's unit; of use cases that predict a number.",
            ("use_case", "version", "alias"),
            buckets=_NUMBERS,
            registry=registry,
        )
        self._count_rare_events(registry)
        self._gauge(registry)
        if sum_of_all_processes() is None:
            # of one process among several it would say nothing, and jump from scrape to scrape
            ProcessCollector(registry=registry)
        registry.register(self._state)

    def _count_rare_events(self, registry: CollectorRegistry) -> None:
        self.swaps = Counter("noria_serving_swaps", "Changes of the version that answers.", ("use_case",), registry=registry)
        self.refused = Counter(
            "noria_serving_refused_bundles",
            "Bundles that were not served: damaged, incomplete, or with other scores than when they were made.",
            ("use_case",),
            registry=registry,
        )
        self.rolled_back = Counter(
            "noria_serving_rollout_taken_back",
            "Challengers that the guard took back, by use case.",
            ("use_case",),
            registry=registry,
        )
        self.stored = Counter("noria_serving_predictions_stored", "Predictions stored in PostgreSQL.", registry=registry)
        self.set_aside = Counter(
            "noria_serving_predictions_set_aside",
            "Journal lines that cannot be stored; they are in set_aside.txt beside the journal.",
            registry=registry,
        )
        self.unlogged = Counter(
            "noria_serving_predictions_unlogged",
            "Predictions that were answered and not recorded, because the journal was full and the setting says answer.",
            registry=registry,
        )

    def _gauge(self, registry: CollectorRegistry) -> None:
        self.registry_up = Gauge(
            "noria_serving_registry_up",
            "1 where the model registry answered the last time it was asked; the lowest of all processes.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.workers = Gauge(
            "noria_serving_workers", "Processes that answer.", registry=registry, multiprocess_mode="livesum"
        )

    def registry_answers(self, answers: bool) -> None:
        """Set whether the registry answered the last time it was asked."""
        self.registry_up.set(1 if answers else 0)

    def count_refused(self, use_case: str) -> None:
        """Count a champion that cannot be served."""
        self.refused.labels(use_case).inc()

    def count_swap(self, use_case: str) -> None:
        """Count a change of the version that answers."""
        self.swaps.labels(use_case).inc()

    def count_rolled_back(self, use_case: str) -> None:
        """Count a challenger that was rolled back."""
        self.rolled_back.labels(use_case).inc()

    def answered(self, model: ServedModel | None, status: int, seconds: float, alias: str = "") -> None:
        """Count one request.

        Args:
            model: the version that answered, or would have; None where the request was refused before one was chosen.
            status: the HTTP status.
            seconds: from the first byte of the request to the last of its answer.
            alias: champion, challenger or rule; what the version answers as alone, where it is not given.
        """
        name, version = (model.name, model.version) if model else ("", "")
        key = (name, version, alias or _alias(version), status)
        kept = self._answered.get(key)
        if kept is None:
            kept = self._answered[key] = (self.requests.labels(*key), self.seconds.labels(*key[:3]))
        kept[0].inc()
        kept[1].observe(seconds)

    def predicted(self, model: ServedModel, alias: str, answers: Answers) -> None:
        """Count what one version decided, and look at the numbers that it predicted.

        Args:
            model: the version.
            alias: champion, challenger, shadow or rule.
            answers: what it says.
        """
        name, version = model.name, model.version
        if answers.task.is_regression:
            observe = self._numbers_of((name, version, alias)).observe
            for number in answers.scores:
                observe(number)
        if len(answers.decisions) == 1:  # most requests
            self._decided((name, version, alias, _word(answers.decisions[0]))).inc()
            return
        for word, count in answers.counts().items():
            self._decided((name, version, alias, word)).inc(count)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format; of all processes where there are several."""
        registry = sum_of_all_processes()
        if registry is None:
            return generate_latest(self._registry)
        registry.register(self._state)
        return generate_latest(registry)

    def _decided(self, key: tuple[str, str, str, str]) -> Counter:
        kept = self._predicted.get(key)
        if kept is None:
            kept = self._predicted[key] = self.predictions.labels(*key)
        return kept

    def _numbers_of(self, key: tuple[str, str, str]) -> Histogram:
        kept = self._numbers.get(key)
        if kept is None:
            kept = self._numbers[key] = self.numbers.labels(*key)
        return kept


def _word(decision: Decision) -> str:
    if decision is True:
        return "yes"
    if decision is False:
        return "no"
    return decision if isinstance(decision, str) else "number"


def _alias(version: str) -> str:
    """What a version answers as where nobody says; nothing where there is no version."""
    if not version:
        return ""
    return "rule" if version == BASELINE_VERSION else "champion"


class _State(Collector):
    """Read when asked, so that it cannot be stale: which version answers, what is rolled out, what waits in the journal."""

    def __init__(
        self,
        models: ServedModels,
        backlog: Callable[[], tuple[int, int]],
        journal_limit: Callable[[], int | None],
        rollouts: Callable[[], Iterable[RolloutFigure]],
    ) -> None:
        self._models = models
        self._backlog = backlog
        self._journal_limit = journal_limit
        self._rollouts = rollouts

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "noria_serving_model_info", "The version that answers.", labels=("use_case", "version", "digest", "origin")
        )
        since = GaugeMetricFamily(
            "noria_serving_model_since_seconds", "When it began to answer, as Unix time.", labels=("use_case",)
        )
        for model in self._models:
            info.add_metric((model.name, model.version, model.digest[:12], model.origin), 1)
            since.add_metric((model.name,), model.since.timestamp())
        yield info
        yield since
        yield self._shares()
        yield from self._journal()

    def _shares(self) -> Metric:
        share = GaugeMetricFamily(
            "noria_serving_rollout_share",
            "Percent of requests that a challenger answers; 0 where it only shadows, absent where nothing is rolled out.",
            labels=("use_case", "version"),
        )
        for rollout in self._rollouts():
            share.add_metric((rollout.use_case, rollout.challenger), rollout.share)
        return share

    def _journal(self) -> Iterator[Metric]:
        segments, size = self._backlog()
        yield GaugeMetricFamily("noria_serving_journal_segments", "Files of predictions not yet in PostgreSQL.", segments)
        yield GaugeMetricFamily("noria_serving_journal_bytes", "Bytes of predictions not yet in PostgreSQL.", size)
        yield GaugeMetricFamily(
            "noria_serving_journal_limit_bytes",
            "Bytes that the journal may take; 0 for no limit.",
            self._journal_limit() or 0,
        )
