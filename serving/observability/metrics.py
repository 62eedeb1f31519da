"""Prometheus metrics of serving. Labels come from declared use cases and loaded versions alone: no caller can add one."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

from noria.core.model.bundle import BASELINE_VERSION
from serving.contract.answers import Answers, Decision
from serving.models.served_model import ServedModel
from serving.observability.shared_metrics import sum_of_all_processes

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_NUMBERS = (-1e6, -1e4, -1e3, -100, -10, -1, 0, *(digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)), 1e6)
"""For any label's unit, since a histogram's steps are fixed: coarse below zero; 1, 2 and 5 of each power of ten above."""
_VERSION = ("use_case", "version", "alias")


class Metrics:
    """All counters of one app, in a registry of their own; shared with siblings, see `serving.observability.shared_metrics`.

    Counters of each request are kept by label set: looking one up costs a tenth of making its labels.
    """

    def __init__(self) -> None:
        # a second series beside every counter, which no dashboard reads
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client left its types out
        self._registry = CollectorRegistry()
        self._live: Collector | None = None
        self._answered: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self._predicted: dict[tuple[str, str, str, str], Counter] = {}
        self._numbers: dict[tuple[str, str, str], Histogram] = {}
        self._add_request_metrics()
        self._add_rollout_metrics()
        self._add_log_metrics()
        self._add_gauges()
        if sum_of_all_processes() is None:
            # of one process among several it would be meaningless, and jump from scrape to scrape
            ProcessCollector(registry=self._registry)

    def show(self, live: Collector) -> None:
        """Show metrics beside the counters that are read when Prometheus asks."""
        self._live = live
        self._registry.register(live)

    def _add_request_metrics(self) -> None:
        self.requests = self._counter(
            "noria_serving_requests",
            "Requests for predictions, by use case, version and alias that answered, and HTTP status.",
            (*_VERSION, "status"),
        )
        self.seconds = self._histogram(
            "noria_serving_request_seconds",
            "Time from the first byte of a request for predictions to the last of its answer.",
            _BUCKETS,
        )
        self.predictions = self._counter(
            "noria_serving_predictions",
            "Instances predicted, by use case, version, alias and decision: yes or no, a class of the use case, or number.",
            (*_VERSION, "decision"),
        )
        self.numbers = self._histogram(
            "noria_serving_predicted_number",
            "Numbers predicted, in the label's unit; of use cases that predict a number.",
            _NUMBERS,
        )

    def _add_rollout_metrics(self) -> None:
        self.swaps = self._counter("noria_serving_swaps", "Changes of the version that answers.", ("use_case",))
        self.refused = self._counter(
            "noria_serving_refused_bundles",
            "Bundles that were not served: damaged, incomplete, or with other scores than when they were made.",
            ("use_case",),
        )
        self.rolled_back = self._counter(
            "noria_serving_rollout_taken_back", "Challengers that the guard rolled back, by use case.", ("use_case",)
        )

    def _add_log_metrics(self) -> None:
        self.stored = self._counter("noria_serving_predictions_stored", "Predictions stored in PostgreSQL.")
        self.set_aside = self._counter(
            "noria_serving_predictions_set_aside",
            "Journal lines that cannot be stored; they are in set_aside.txt beside the journal.",
        )
        self.unlogged = self._counter(
            "noria_serving_predictions_unlogged",
            "Predictions that were answered and not recorded, because the journal was full and the setting says answer.",
        )

    def _add_gauges(self) -> None:
        self.registry_up = Gauge(
            "noria_serving_registry_up",
            "1 if the model registry answered the last time it was asked; the lowest of all processes.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self.workers = Gauge(
            "noria_serving_workers", "Processes that answer.", registry=self._registry, multiprocess_mode="livesum"
        )

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, _VERSION, buckets=buckets, registry=self._registry)

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
            model: the version that answered, or would have; None if the request was refused before one was chosen.
            status: the HTTP status.
            seconds: from the first byte of the request to the last of its answer.
            alias: champion, challenger or rule; empty for the alias under which the version answers alone.
        """
        name, version = (model.name, model.version) if model else ("", "")
        key = (name, version, alias or _alias(version), status)
        kept = self._answered.get(key)
        if kept is None:
            kept = self._answered[key] = (self.requests.labels(*key), self.seconds.labels(*key[:3]))
        kept[0].inc()
        kept[1].observe(seconds)

    def predicted(self, model: ServedModel, alias: str, answers: Answers) -> None:
        """Count the decisions of one version, and observe the numbers that it predicted.

        Args:
            model: the version.
            alias: champion, challenger, shadow or rule.
            answers: scores and decisions.
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
        """All metrics in Prometheus' text format; of all processes if there are several."""
        registry = sum_of_all_processes()
        if registry is None:
            return generate_latest(self._registry)
        if self._live is not None:
            registry.register(self._live)
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
    """Alias under which a version answers alone; empty if there is no version."""
    if not version:
        return ""
    return "rule" if version == BASELINE_VERSION else "champion"
