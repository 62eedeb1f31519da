"""What Prometheus may ask. Labels come from declared use cases and loaded versions alone, so nobody outside can add one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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

from noria.core.use_case import Task
from serving.answers import Answers
from serving.served_model import ServedModel, ServedModels

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_NUMBERS = (-1e6, -1e4, -1e3, -100, -10, -1, 0, *(digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)), 1e6)
"""For any label's unit, since a histogram's steps are fixed: coarse below zero; 1, 2 and 5 of each power of ten above."""


class Metrics:
    """All counters of one app, in a registry of their own."""

    def __init__(self, models: ServedModels, backlog: Callable[[], tuple[int, int]]) -> None:
        """Make the counters.

        Args:
            models: whose versions are reported.
            backlog: gives segments and bytes of the prediction journal.
        """
        # a second series beside every counter, which nobody asks for
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client left its types out
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "noria_serving_requests",
            "Requests for predictions, by use case, version that answered and HTTP status.",
            ("use_case", "version", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "noria_serving_request_seconds",
            "Time from the first byte of a request for predictions to the last of its answer.",
            ("use_case",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.predictions = Counter(
            "noria_serving_predictions",
            "Instances predicted, by use case, version and decision: yes or no, a class of the use case, or number.",
            ("use_case", "version", "decision"),
            registry=registry,
        )
        self.numbers = Histogram(
            "noria_serving_predicted_number",
            "Numbers predicted, in the label's unit; of use cases that predict a number.",
            ("use_case",),
            buckets=_NUMBERS,
            registry=registry,
        )
        self.swaps = Counter("noria_serving_swaps", "Changes of the version that answers.", ("use_case",), registry=registry)
        self.refused = Counter(
            "noria_serving_refused_bundles",
            "Bundles that were not served: damaged, incomplete, or with other scores than when they were made.",
            ("use_case",),
            registry=registry,
        )
        self.stored = Counter("noria_serving_predictions_stored", "Predictions stored in PostgreSQL.", registry=registry)
        self.set_aside = Counter(
            "noria_serving_predictions_set_aside",
            "Journal lines that cannot be stored; they are in set_aside.txt beside the journal.",
            registry=registry,
        )
        self.registry_up = Gauge(
            "noria_serving_registry_up", "1 where the model registry answered the last time it was asked.", registry=registry
        )
        registry.register(_State(models, backlog))
        ProcessCollector(registry=registry)

    def predicted(self, model: ServedModel, answers: Answers) -> None:
        """Count what was decided, and look at the numbers that were predicted."""
        for decision, count in answers.counts().items():
            self.predictions.labels(model.name, model.version, decision).inc(count)
        if answers.task is Task.REGRESSION:
            numbers = self.numbers.labels(model.name)
            for number in answers.scores:
                numbers.observe(number)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """Read when asked, so that it cannot be stale: which version answers, and what waits in the journal."""

    def __init__(self, models: ServedModels, backlog: Callable[[], tuple[int, int]]) -> None:
        self._models = models
        self._backlog = backlog

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
        segments, size = self._backlog()
        yield info
        yield since
        yield GaugeMetricFamily("noria_serving_journal_segments", "Files of predictions not yet in PostgreSQL.", segments)
        yield GaugeMetricFamily("noria_serving_journal_bytes", "Bytes of predictions not yet in PostgreSQL.", size)
