"""One OpenTelemetry span for each request for predictions; OpenTelemetry is imported only if traces are collected.

OpenTelemetry's own variables configure it (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, ...). A
span is made after the request, so that the request path keeps no open span.
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
    """Facts of a request in its span.

    Attributes:
        use_case: an existing one; empty if the request named none.
        version: that answered; empty if none was chosen.
        alias: champion, challenger or rule.
        rows: instances predicted.
        request_id: as in the X-Request-Id of the response.
        status: the HTTP status.
        seconds: duration.
    """

    use_case: str
    version: str
    alias: str
    rows: int
    request_id: str
    status: int
    seconds: float


class Traces:
    """Sends spans in batches from a thread of its own: create it after a fork, in the app's lifespan."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # else it logs every attempt
        resource = Resource.create({"service.instance.id": f"{gethostname()}:{getpid()}"})
        name = resource.attributes.get(SERVICE_NAME, "unknown_service")
        if str(name).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("noria.serving")
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    def answered(self, traceparent: str | None, request: AnsweredRequest) -> None:
        """Send the span of one request that is over.

        Args:
            traceparent: the caller's header (W3C Trace Context), whose trace is continued; None begins a new one.
            request: facts for the span.
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
        """Send the spans that are left, for at most two seconds."""
        limit = threading.Timer(_STOP_SECONDS, self._exporter.shutdown)  # else it tries again for ten
        limit.start()
        self._provider.shutdown()
        limit.cancel()

    def _context(self, traceparent: str | None) -> Context | None:
        return self._propagator.extract({"traceparent": traceparent}) if traceparent else None


class Tracing:
    """Traces if they are collected, else nothing.

    Attributes:
        traces: read for each request; None if traces are not collected.
    """

    def __init__(self, wanted: bool) -> None:
        """Import and start nothing yet: a parent may still fork."""
        self._wanted = wanted
        self.traces: Traces | None = None

    def start(self) -> None:
        """Begin; call it in the app's lifespan."""
        if self._wanted:
            self.traces = Traces()

    def stop(self) -> None:
        """Send the spans that are left."""
        if self.traces is not None:
            self.traces.close()
            self.traces = None
