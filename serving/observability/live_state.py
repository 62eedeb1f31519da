"""Metrics that are read when Prometheus asks, so that they cannot be stale: versions, rollouts, journal."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.journal.journal import Journal
from serving.models.rollouts import ActiveRollouts
from serving.models.served_model import ServedModels


class LiveState(Collector):
    """Reads what answers, what is rolled out, and what waits in the journal."""

    def __init__(self, models: ServedModels, rollouts: ActiveRollouts, journal: Journal) -> None:
        self._models = models
        self._rollouts = rollouts
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """The gauges as they are now."""
        yield from self._versions()
        yield self._shares()
        yield from self._backlog()

    def _versions(self) -> Iterator[Metric]:
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

    def _shares(self) -> Metric:
        share = GaugeMetricFamily(
            "noria_serving_rollout_share",
            "Percent of requests that a challenger answers; 0 in shadow mode, absent if nothing is rolled out.",
            labels=("use_case", "version"),
        )
        for model in self._models:
            if (rollout := self._rollouts.active(model.name)) is not None:
                share.add_metric((model.name, rollout.challenger.version), 0.0 if rollout.shadow else rollout.share)
        return share

    def _backlog(self) -> Iterator[Metric]:
        backlog = self._journal.backlog()
        yield GaugeMetricFamily(
            "noria_serving_journal_segments", "Files of predictions not yet in PostgreSQL.", backlog.segments
        )
        yield GaugeMetricFamily("noria_serving_journal_bytes", "Bytes of predictions not yet in PostgreSQL.", backlog.bytes)
        yield GaugeMetricFamily(
            "noria_serving_journal_limit_bytes",
            "Bytes that the journal may take; 0 for no limit.",
            self._journal.limit_bytes or 0,
        )
