"""Asynchronous client. `make docs` writes `noria/client/sync.py` from this file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from noria.client import calls
from noria.client.calls import Call
from noria.client.errors import RefusedError
from noria.client.models import About, Feedback, Json, Predictions, Received
from noria.client.retry import AGAIN, Retries, retry_after


class AsyncNoriaClient:
    """Client of one server; the tasks of an event loop may share it.

    A request without an answer, or answered with 429, 502, 503 or 504, is sent again with the same X-Request-Id. A
    prediction may then stand twice in the server's log, under that id. Feedback that is sent again changes nothing.

    Args:
        url: of the server, such as http://127.0.0.1:8000.
        key: API key; None if the server asks for none.
        timeout: seconds for each try.
        retries: number of tries after the first, or the full settings.
        batch: most instances in one request; more are sent in several requests, one after the other. If one of these is
            refused, those before it are predicted and logged.
        transport: of httpx; another one for tests.
        sleep: waits for some seconds; another one for tests.

    Raises:
        ValueError: the address is none.

    Example:
        >>> async def is_late() -> bool:
        ...     async with AsyncNoriaClient(url) as noria:
        ...         found = await noria.predict("parcels", [{"hour": 19, "depot": "north"}])
        ...         return found[0].decision
        >>> asyncio.run(is_late())
        True
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = calls.SECONDS,
        retries: int | Retries = Retries(),  # noqa: B008 - frozen
        batch: int = calls.BATCH,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(**calls.settings_of(key, timeout, url), transport=transport)
        self._retries = Retries(retries) if isinstance(retries, int) else retries
        self._batch = batch
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def predict(self, use_case: str, instances: Iterable[Mapping[str, Any]], *, reasons: int = 0) -> Predictions:
        """Predict.

        Args:
            use_case: its name.
            instances: fields by name; a field that is left out, None or NaN is a missing value.
            reasons: how many reasons to give for each.

        Raises:
            RefusedError: the request is wrong, or not at the moment; names every wrong field.
            NoAnswerError: no answer came.
            UnexpectedAnswerError: the answer is not one of Noria.
            ValueError: there are no instances.

        Example:
            >>> found = asyncio.run(noria.predict("parcels", [{"hour": 19}, {"hour": 9}], reasons=1))
            >>> [one.decision for one in found]
            [True, False]
            >>> print(found[1].reasons[0].text)
            Hour is 9: in the baseline "hour >= 18" does not hold
        """
        return await self._predictions(use_case, "instances", instances, reasons)

    async def predict_entities(self, use_case: str, entities: Iterable[str | int], *, reasons: int = 0) -> Predictions:
        """Predict what the server knows the features of, by your names for it. Raises what `predict` raises.

        Example:
            >>> try:
            ...     asyncio.run(noria.predict_entities("parcels", ["P17", "P18"]))
            ... except RefusedError as error:  # this server has no database
            ...     print(error.status, error.kind)
            503 features-unavailable
        """
        return await self._predictions(use_case, "entities", entities, reasons)

    async def feedback(self, use_case: str, statements: Iterable[Feedback | Mapping[str, Any]]) -> Received:
        """Say what came true. Raises what `predict` raises.

        Example:
            >>> found = asyncio.run(noria.predict("parcels", [{"hour": 19}]))
            >>> items = [{"id": found[0].id, "label": False}, Feedback(label=True, entity="P17")]
            >>> kept = asyncio.run(noria.feedback("parcels", items))
            >>> len(kept.ids)
            2
        """
        sent = calls.batches(calls.path_of(use_case, "feedback"), "feedback", statements, self._batch)
        return calls.received_of(use_case, await self._all(sent))

    async def about(self, use_case: str) -> About:
        """Description of a use case: what it is, what it expects, and which version answers. Raises what `predict` raises.

        Example:
            >>> about = asyncio.run(noria.about("parcels"))
            >>> about.decision, about.version, [field.name for field in about.expects if field.required]
            ('send a warning', '0', ['hour'])
        """
        call = calls.get(calls.path_of(use_case))
        return calls.description_of(call, await self._send(call))

    async def ready(self) -> bool:
        """Whether predictions are answered; one try; False if no answer comes.

        Example:
            >>> asyncio.run(noria.ready())
            True
        """
        try:
            response = await self._http.get("/readyz")
        except httpx.RequestError:
            return False
        return response.is_success

    async def _predictions(self, use_case: str, field: str, items: Iterable[Any], reasons: int) -> Predictions:
        sent = calls.batches(calls.path_of(use_case, "predict"), field, items, self._batch, reasons)
        return calls.predictions_of(use_case, await self._all(sent))

    async def _all(self, sent: Iterable[Call]) -> list[tuple[Call, Json]]:
        return [pair for call in sent for pair in await self._whole(call)]

    async def _whole(self, call: Call) -> list[tuple[Call, Json]]:
        """The answers for what a call carries; in halves, and halves of these, where the server finds it too large."""
        try:
            return [(call, await self._send(call))]
        except RefusedError as error:
            if error.status != calls.TOO_LARGE or len(call.items) < 2:
                raise
        return await self._all(call.halves())

    async def _send(self, call: Call) -> Json:
        tried = 0
        while True:
            tried += 1
            wait = await self._try(call, tried)
            if not isinstance(wait, float):
                return calls.answer_of(call, wait)
            await self._sleep(wait)

    async def _try(self, call: Call, tried: int) -> httpx.Response | float:
        """The response; or how many seconds to wait before the next try."""
        try:
            response = await self._http.request(call.method, call.url, content=call.content, headers=call.headers)
        except httpx.RequestError as error:
            wait = self._retries.wait(tried) if isinstance(error, calls.LOST) else None
            if wait is None:
                raise calls.no_answer(self._http.base_url, call, tried, error) from error
            return wait
        wait = self._retries.wait(tried, retry_after(response.headers)) if response.status_code in AGAIN else None
        return response if wait is None else wait
