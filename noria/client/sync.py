"""Synchronous client. Made by `make docs` from `noria/client/asynchronous.py`; edit that file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from noria.client import calls
from noria.client.calls import Call
from noria.client.errors import RefusedError
from noria.client.models import About, Feedback, Json, Predictions, Received
from noria.client.retry import AGAIN, Retries, retry_after


class NoriaClient:
    """Client of one server; threads may share it.

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
        >>> def is_late() -> bool:
        ...     with NoriaClient(url) as noria:
        ...         found = noria.predict("parcels", [{"hour": 19, "depot": "north"}])
        ...         return found[0].decision
        >>> is_late()
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
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(**calls.settings_of(key, timeout, url), transport=transport)
        self._retries = Retries(retries) if isinstance(retries, int) else retries
        self._batch = batch
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def predict(self, use_case: str, instances: Iterable[Mapping[str, Any]], *, reasons: int = 0) -> Predictions:
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
            >>> found = noria.predict("parcels", [{"hour": 19}, {"hour": 9}], reasons=1)
            >>> [one.decision for one in found]
            [True, False]
            >>> print(found[1].reasons[0].text)
            Hour is 9: in the baseline "hour >= 18" does not hold
        """
        return self._predictions(use_case, "instances", instances, reasons)

    def predict_entities(self, use_case: str, entities: Iterable[str | int], *, reasons: int = 0) -> Predictions:
        """Predict what the server knows the features of, by your names for it. Raises what `predict` raises.

        Example:
            >>> try:
            ...     noria.predict_entities("parcels", ["P17", "P18"])
            ... except RefusedError as error:  # this server has no database
            ...     print(error.status, error.kind)
            503 features-unavailable
        """
        return self._predictions(use_case, "entities", entities, reasons)

    def feedback(self, use_case: str, statements: Iterable[Feedback | Mapping[str, Any]]) -> Received:
        """Say what came true. Raises what `predict` raises.

        Example:
            >>> found = noria.predict("parcels", [{"hour": 19}])
            >>> items = [{"id": found[0].id, "label": False}, Feedback(label=True, entity="P17")]
            >>> kept = noria.feedback("parcels", items)
            >>> len(kept.ids)
            2
        """
        sent = calls.batches(calls.path_of(use_case, "feedback"), "feedback", statements, self._batch)
        return calls.received_of(use_case, self._all(sent))

    def about(self, use_case: str) -> About:
        """Description of a use case: what it is, what it expects, and which version answers. Raises what `predict` raises.

        Example:
            >>> about = noria.about("parcels")
            >>> about.decision, about.version, [field.name for field in about.expects if field.required]
            ('send a warning', '0', ['hour'])
        """
        call = calls.get(calls.path_of(use_case))
        return calls.description_of(call, self._send(call))

    def ready(self) -> bool:
        """Whether predictions are answered; one try; False if no answer comes.

        Example:
            >>> noria.ready()
            True
        """
        try:
            response = self._http.get("/readyz")
        except httpx.RequestError:
            return False
        return response.is_success

    def _predictions(self, use_case: str, field: str, items: Iterable[Any], reasons: int) -> Predictions:
        sent = calls.batches(calls.path_of(use_case, "predict"), field, items, self._batch, reasons)
        return calls.predictions_of(use_case, self._all(sent))

    def _all(self, sent: Iterable[Call]) -> list[tuple[Call, Json]]:
        return [pair for call in sent for pair in self._whole(call)]

    def _whole(self, call: Call) -> list[tuple[Call, Json]]:
        """The answers for what a call carries; in halves, and halves of these, where the server finds it too large."""
        try:
            return [(call, self._send(call))]
        except RefusedError as error:
            if error.status != calls.TOO_LARGE or len(call.items) < 2:
                raise
        return self._all(call.halves())

    def _send(self, call: Call) -> Json:
        tried = 0
        while True:
            tried += 1
            wait = self._try(call, tried)
            if not isinstance(wait, float):
                return calls.answer_of(call, wait)
            self._sleep(wait)

    def _try(self, call: Call, tried: int) -> httpx.Response | float:
        """The response; or how many seconds to wait before the next try."""
        try:
            response = self._http.request(call.method, call.url, content=call.content, headers=call.headers)
        except httpx.RequestError as error:
            wait = self._retries.wait(tried) if isinstance(error, calls.LOST) else None
            if wait is None:
                raise calls.no_answer(self._http.base_url, call, tried, error) from error
            return wait
        wait = self._retries.wait(tried, retry_after(response.headers)) if response.status_code in AGAIN else None
        return response if wait is None else wait
