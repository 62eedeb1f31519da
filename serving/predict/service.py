"""Answers requests for predictions, whatever protocol they came by: look up, predict, write down, count."""

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
from serving.predict.prediction import PredictResult, RequestContext, predict, predict_together, shadow_of
from serving.predict.reasons import is_quick

if TYPE_CHECKING:
    from serving.models.rollouts import ActiveRollouts
    from serving.observability.metrics import Metrics
    from serving.predict.online_store import OnlineStore

_log = logging.getLogger(__name__)
_INLINE = 100
"""Instances that are predicted in the event loop: more would hold it up, fewer are done before a thread has woken."""
_MOST_SHADOWS = 64
"""Requests that wait for the challenger's silent opinion; more are left out, so that callers never wait for it."""


class PredictionService:
    """What stands between a protocol and the models."""

    def __init__(
        self,
        clock: Clock,
        record: Callable[[bytes, int], bool],
        metrics: Metrics,
        rollouts: ActiveRollouts,
        online: OnlineStore,
    ) -> None:
        self.clock = clock
        self._record = record
        self._metrics = metrics
        self._rollouts = rollouts
        self._online = online
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="predict")
        self._shadows = 0

    def is_quick(self, model: ServedModel, wanted: PredictBody, query: bytes = b"") -> bool:
        """Whether a request can be answered in the event loop, without anybody noticing.

        Args:
            model: the champion.
            wanted: what the body asks for.
            query: of the URL; whoever asks for more than scores may have to wait.
        """
        rows = len(wanted.instances)
        if not 0 < rows <= _INLINE:
            return False
        return not query or (self._rollouts.active(model.name) is None and is_quick(model, rows))

    def answer_protected(self, model: ServedModel, instances: Sequence[Instance], asked: RequestContext) -> PredictResult:
        """Predict instances that are quick and hold nothing personal, and keep the predictions.

        Raises:
            InstanceError, UnscorableError, NoReasonsError, JournalError: as `answer`.
        """
        return self._work(model, instances, asked)

    def answer_together(
        self, model: ServedModel, instances: Sequence[Instance], asked: Sequence[RequestContext]
    ) -> list[PredictResult]:
        """The same for one instance each of several requests, by one version; all of them, or an error and none.

        Raises:
            InstanceError, UnscorableError, JournalError: of one of them, or for all of them.
        """
        started = perf_counter()
        found = predict_together(model, instances, asked)
        latency_ms = round((perf_counter() - started) * 1000, 3)
        lines = [
            journal_line(one.groups, (instance,), by, latency_ms)
            for one, instance, by in zip(found, instances, asked, strict=True)
        ]
        if not self._record(b"".join(lines), len(lines)):
            found = [one._replace(logged=False) for one in found]
        group = found[0].groups[0]
        self._metrics.predicted(group.model, group.alias, group.answers)
        return found

    def may_wait_for_others(self, model: ServedModel, asked: RequestContext, rows: int) -> bool:
        """Whether a request may be answered together with others: it is plain, and one version answers it."""
        return rows == 1 and not asked.reasons and self._rollouts.active(model.name) is None

    async def answer(self, model: ServedModel, wanted: PredictBody, asked: RequestContext) -> PredictResult:
        """Predict what a request wants, and keep the predictions; they exist only after this has returned.

        Args:
            model: the champion.
            wanted: instances that fit its contract, or entities.
            asked: who asks.

        Raises:
            UnknownEntityError, OnlineStoreError: features of an entity are not there, or cannot be read.
            InstanceError, UnscorableError, NoReasonsError: see `serving.predict.prediction`.
            JournalError: the predictions cannot be kept, so they are not given.
            TooSlowError: it took longer than the use case allows.
        """
        if wanted.entities:
            instances: Sequence[Instance] = await self._in_time(model, self._looked_up(model, wanted.entities))
        else:
            instances = model.protected(wanted.instances)
        if len(instances) <= _INLINE and (not asked.reasons or is_quick(model, len(instances))):
            return self._work(model, instances, asked)
        loop = asyncio.get_running_loop()
        found: PredictResult = await self._in_time(
            model, loop.run_in_executor(self._threads, self._work, model, instances, asked)
        )
        return found

    async def predict_rows(self, model: ServedModel, rows: Sequence[object], asked: RequestContext) -> PredictResult:
        """Predict rows that another protocol has read, after holding them against the contract.

        Raises:
            InstanceError: fields that do not fit; lists all of them. And what `answer` raises.
        """
        instances = model.contract.accept(rows) or check_rows(rows, model)
        return await self.answer(model, PredictBody(instances, []), asked)

    def close(self) -> None:
        """Finish what is being predicted."""
        self._threads.shutdown()

    def _work(self, model: ServedModel, instances: Sequence[Instance], asked: RequestContext) -> PredictResult:
        started = perf_counter()
        rollout = None if asked.alone else self._rollouts.active(model.name)
        predicted = predict(model, instances, asked, rollout)
        latency_ms = round((perf_counter() - started) * 1000, 3)
        logged = self._record(journal_line(predicted.groups, instances, asked, latency_ms), len(instances))
        for group in predicted.groups:
            self._metrics.predicted(group.model, group.alias, group.answers)
        if rollout is not None and rollout.shadow:
            self._cast_shadow(rollout, instances, asked)
        return predicted if logged else predicted._replace(logged=False)

    async def _looked_up(self, model: ServedModel, entities: Sequence[str]) -> list[Instance]:
        safe = model.protected_entities(entities)
        rows = await self._online.rows(model.use_case, safe)
        return [Instance(entity, model.read_of(row)) for entity, row in zip(safe, rows, strict=True)]

    async def _in_time(self, model: ServedModel, work: Any) -> Any:
        limit = model.use_case.serving.timeout.total_seconds()
        try:
            return await asyncio.wait_for(work, limit)
        except TimeoutError as error:
            raise TooSlowError(limit) from error

    def _cast_shadow(self, rollout: ActiveRollout, instances: Sequence[Instance], asked: RequestContext) -> None:
        """Let the challenger predict the same instances, unheard, after the answer has gone."""
        if self._shadows >= _MOST_SHADOWS:
            return
        self._shadows += 1
        self._threads.submit(self._shadow, rollout, instances, asked)

    def _shadow(self, rollout: ActiveRollout, instances: Sequence[Instance], asked: RequestContext) -> None:
        started = perf_counter()
        try:
            found = shadow_of(rollout, instances, asked)
            seconds = perf_counter() - started
            rollout.observe(True, len(instances), seconds, found.group is None, found.invalid)
            if found.group is not None:
                line = journal_line([found.group], instances, asked, round(seconds * 1000, 3))
                self._record(line, 0)  # nobody misses a silent one
                self._metrics.predicted(found.group.model, found.group.alias, found.group.answers)
        except NoriaError as error:  # the journal refuses; the next request for an answer will say so
            _log.warning("a silent prediction was not kept: %s", error)
        finally:
            self._shadows -= 1
