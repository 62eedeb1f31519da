"""Answers requests for predictions of every protocol: look up, predict, record, count."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any

from noria.core.base.clock import Clock
from noria.core.base.errors import NoriaError
from serving.contract.errors import TooSlowError
from serving.contract.request_schema import Instance, PredictBody
from serving.models.rollouts import ActiveRollout
from serving.models.served_model import ServedModel
from serving.predict.instances import check_rows
from serving.predict.journal_line import journal_line
from serving.predict.prediction import PredictResult, RequestContext, predict, predict_batch, predict_in_shadow
from serving.predict.reasons import is_quick

if TYPE_CHECKING:
    from serving.models.rollouts import ActiveRollouts
    from serving.observability.metrics import Metrics
    from serving.predict.online_store import OnlineStore

_log = logging.getLogger(__name__)
_INLINE = 100
"""Instances that are predicted in the event loop: more would block it, fewer are done before a thread has started."""
_MOST_SHADOWS = 64
"""Requests that wait for the challenger in shadow mode; more are left out, so that callers never wait for it."""


class PredictionService:
    """Predictions for every protocol."""

    def __init__(
        self,
        clock: Clock,
        record: Callable[[bytes, int], bool],
        metrics: Metrics,
        rollouts: ActiveRollouts,
        online_store: OnlineStore,
    ) -> None:
        """Start nothing yet.

        Args:
            clock: dates requests.
            record: keeps a journal line with a number of predictions; False if the journal is full and answers go on.
            metrics: counts predictions.
            rollouts: challengers beside champions.
            online_store: features by entity.
        """
        self.clock = clock
        self._record = record
        self._metrics = metrics
        self._rollouts = rollouts
        self._online_store = online_store
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="predict")
        self._shadows = 0

    def is_quick(self, model: ServedModel, wanted: PredictBody, query: bytes = b"") -> bool:
        """Whether a request can be answered in the event loop without blocking it.

        Args:
            model: the champion.
            wanted: content of the body.
            query: of the URL; a request for more than scores may have to wait.
        """
        rows = len(wanted.instances)
        if not 0 < rows <= _INLINE:
            return False
        return not query or (self._rollouts.active(model.name) is None and is_quick(model, rows))

    def may_join_batch(self, model: ServedModel, context: RequestContext, rows: int) -> bool:
        """Whether a request may be answered together with others: one instance, no reasons, no rollout."""
        return rows == 1 and not context.reasons and self._rollouts.active(model.name) is None

    def answer_batch(
        self, model: ServedModel, instances: Sequence[Instance], contexts: Sequence[RequestContext]
    ) -> list[PredictResult]:
        """Predict one instance for each of several requests, by one version; all of them, or an error and none.

        Raises:
            InstanceError, UnscorableError, JournalError: of one of them, or for all of them.
        """
        started = perf_counter()
        results = predict_batch(model, instances, contexts)
        latency_ms = round((perf_counter() - started) * 1000, 3)
        lines = [
            journal_line(result.groups, (instance,), context, latency_ms)
            for result, instance, context in zip(results, instances, contexts, strict=True)
        ]
        if not self._record(b"".join(lines), len(lines)):
            results = [result._replace(logged=False) for result in results]
        group = results[0].groups[0]
        self._metrics.predicted(group.model, group.alias, group.answers)
        return results

    def answer_protected(self, model: ServedModel, instances: Sequence[Instance], context: RequestContext) -> PredictResult:
        """Predict instances without personal values, here and now, and record the predictions.

        Raises:
            InstanceError, UnscorableError, NoReasonsError, JournalError: as `answer`.
        """
        started = perf_counter()
        rollout = None if context.alone else self._rollouts.active(model.name)
        result = predict(model, instances, context, rollout)
        latency_ms = round((perf_counter() - started) * 1000, 3)
        logged = self._record(journal_line(result.groups, instances, context, latency_ms), len(instances))
        for group in result.groups:
            self._metrics.predicted(group.model, group.alias, group.answers)
        if rollout is not None and rollout.shadow:
            self._start_shadow(rollout, instances, context)
        return result if logged else result._replace(logged=False)

    async def answer(self, model: ServedModel, wanted: PredictBody, context: RequestContext) -> PredictResult:
        """Predict what a request wants, and record the predictions before they are returned.

        Args:
            model: the champion.
            wanted: instances that fit its request schema, or entities.
            context: of the request.

        Raises:
            UnknownEntityError, OnlineStoreError: features of an entity are not there, or cannot be read.
            InstanceError, UnscorableError, NoReasonsError: see `serving.predict.prediction`.
            JournalError: the predictions cannot be recorded, so they are not given.
            TooSlowError: it took longer than the use case allows.
        """
        if wanted.entities:
            instances: Sequence[Instance] = await self._in_time(model, self._looked_up(model, wanted.entities))
        else:
            instances = model.protected(wanted.instances)
        if len(instances) <= _INLINE and (not context.reasons or is_quick(model, len(instances))):
            return self.answer_protected(model, instances, context)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, self.answer_protected, model, instances, context)
        result: PredictResult = await self._in_time(model, work)
        return result

    async def predict_rows(self, model: ServedModel, rows: Sequence[object], context: RequestContext) -> PredictResult:
        """Predict rows that another protocol has read, after a check against the request schema.

        Raises:
            InstanceError: fields that do not fit; lists all of them. And the errors of `answer`.
        """
        instances = model.request_schema.accept(rows) or check_rows(rows, model)
        return await self.answer(model, PredictBody(instances, []), context)

    def close(self) -> None:
        """Finish what is being predicted."""
        self._threads.shutdown()

    async def _looked_up(self, model: ServedModel, entities: Sequence[str]) -> list[Instance]:
        safe = model.protected_entities(entities)
        rows = await self._online_store.rows(model.use_case, safe)
        return [Instance(entity, model.read_of(row)) for entity, row in zip(safe, rows, strict=True)]

    async def _in_time(self, model: ServedModel, work: Any) -> Any:
        limit = model.use_case.serving.timeout.total_seconds()
        try:
            return await asyncio.wait_for(work, limit)
        except TimeoutError as error:
            raise TooSlowError(limit) from error

    def _start_shadow(self, rollout: ActiveRollout, instances: Sequence[Instance], context: RequestContext) -> None:
        """Let the challenger score the same instances in a thread, after the answer is sent."""
        if self._shadows >= _MOST_SHADOWS:
            return
        self._shadows += 1
        self._threads.submit(self._shadow, rollout, instances, context)

    def _shadow(self, rollout: ActiveRollout, instances: Sequence[Instance], context: RequestContext) -> None:
        started = perf_counter()
        try:
            result = predict_in_shadow(rollout, instances, context)
            seconds = perf_counter() - started
            rollout.observe(True, len(instances), seconds, result.group is None, result.invalid)
            if result.group is not None:
                line = journal_line([result.group], instances, context, round(seconds * 1000, 3))
                self._record(line, 0)  # no caller waits for it: not counted if it is not kept
                self._metrics.predicted(result.group.model, result.group.alias, result.group.answers)
        except NoriaError as error:  # the journal refuses; the next request for an answer will say so
            _log.warning("a prediction in shadow mode was not recorded: %s", error)
        finally:
            self._shadows -= 1
