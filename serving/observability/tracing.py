"""One span for each request for predictions, for whoever collects traces; nothing is imported where nobody does.

OpenTelemetry's own variables configure it (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, ...). A
span is made when the request is over, from what is known then, so that the request path holds nothing open.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from os import getpid
from socket import gethostname
from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_STOP_SECONDS = 2.0
_SERVICE = "noria-serving"


@dataclass(frozen=True)
class AnsweredRequest:
    """What a span says of a request.

    Attributes:
        use_case: a declared one; empty where the request named none.
        version: that answered; empty where none was chosen.
        alias: champion, challenger or rule.
        rows: instances predicted.
        request_id: as in the answer's X-Request-Id.
        status: the HTTP status.
        seconds: that it took.
    """

    use_case: str
    version: str
    alias: str
    rows: int
    request_id: str
    status: int
    seconds: float


class Traces:
    """Sends spans in batches from a thread of its own: make it after a fork, in the app's lifespan."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # it would tell of every attempt
        told = Resource.create({"service.instance.id": f"{gethostname()}:{getpid()}"})  # the environment's words included
        named = told.attributes.get(SERVICE_NAME, "unknown_service")
        if str(named).startswith("unknown_service"):
            told = told.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._provider: TracerProvider = TracerProvider(resource=told, shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("noria.serving")
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    def answered(self, traceparent: str | None, request: AnsweredRequest) -> None:
        """Tell of one request that is over.

        Args:
            traceparent: the caller's header (W3C Trace Context), whose trace is gone on with; None begins a new one.
            request: what happened.
        """
        end = time_ns()
        span = self._tracer.start_span(
            f"predict {request.use_case}".rstrip(),
            context=self._context(traceparent),
            kind=self._kind,
            start_time=end - int(request.seconds * 1e9),
            attributes={
                "http.request.method": "POST",
                "http.route": "/v1/{use_case}/predict",
                "http.response.status_code": request.status,
                "noria.use_case": request.use_case,
                "noria.version": request.version,
                "noria.alias": request.alias,
                "noria.rows": request.rows,
                "noria.request_id": request.request_id,
            },
        )
        if request.status >= 500:
            span.set_status(self._failed)
        span.end(end)

    def close(self) -> None:
        """Send what is left, as far as the collector takes it within two seconds."""
        impatience = threading.Timer(_STOP_SECONDS, self._exporter.shutdown)  # else it tries again for ten
        impatience.start()
        self._provider.shutdown()
        impatience.cancel()

    def _context(self, traceparent: str | None) -> Context | None:
        return self._propagator.extract({"traceparent": traceparent}) if traceparent else None


class Tracing:
    """Traces where somebody collects them, else nothing."""

    def __init__(self, wanted: bool) -> None:
        """Nothing is imported or started yet: a parent may still fork."""
        self._wanted = wanted
        self.traces: Traces | None = None
        """To be looked at for each request; None where nobody collects."""

    def start(self) -> None:
        """Begin; in the app's lifespan."""
        if self._wanted:
            self.traces = Traces()

    def stop(self) -> None:
        """Send what is left."""
        if self.traces is not None:
            self.traces.close()
            self.traces = None
