"""Traces go to a real collector over OTLP/HTTP, and nothing is imported where there is none."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from noria.settings import traces_wanted
from serving.observability.tracing import AnsweredRequest, Traces, Tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUEST = AnsweredRequest("parcels", "7", "challenger", 3, "order-4711", 200, 0.25)


class Collector:
    """An OTLP/HTTP receiver that keeps what it gets."""

    def __init__(self):
        collector = self
        self.batches = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["content-length"]))
                collector.batches.append((self.path, ExportTraceServiceRequest.FromString(content)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def spans(self):
        assert self.batches
        assert {path for path, _ in self.batches} == {"/v1/traces"}
        return [
            (resource.resource, span)
            for _, batch in self.batches
            for resource in batch.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector(monkeypatch):
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    yield collector
    collector.stop()


def words(attributes):
    return {item.key: item.value.string_value or item.value.int_value for item in attributes}


def test_a_request_becomes_a_span_that_goes_on_with_the_callers_trace(collector):
    assert traces_wanted()
    traces = Traces()
    traces.answered(PARENT, REQUEST)
    traces.close()
    ((resource, span),) = collector.spans()
    assert span.name == "predict parcels"
    assert span.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000
    assert span.status.code == Status.STATUS_CODE_UNSET
    attributes = words(span.attributes)
    assert attributes["http.response.status_code"] == 200
    assert {name: attributes[f"noria.{name}"] for name in ("use_case", "version", "alias", "rows", "request_id")} == {
        "use_case": "parcels",
        "version": "7",
        "alias": "challenger",
        "rows": 3,
        "request_id": "order-4711",
    }
    assert words(resource.attributes)["service.name"] == "noria-serving"


def test_a_trace_of_its_own_where_the_caller_has_none_or_sends_nonsense(collector):
    traces = Traces()
    for header in (None, "", "00-nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        traces.answered(header, REQUEST)
    traces.close()
    found = collector.spans()
    assert len({span.trace_id for _, span in found}) == 4
    assert {span.parent_span_id for _, span in found} == {b""}
    (instance,) = {words(resource.attributes)["service.instance.id"] for resource, _ in found}
    assert instance.endswith(f":{os.getpid()}")


def test_a_caller_that_does_not_sample_is_not_recorded(collector):
    traces = Traces()
    traces.answered(PARENT[:-2] + "00", REQUEST)
    traces.answered(PARENT, REQUEST)
    traces.close()
    assert len(collector.spans()) == 1


def test_span_of_a_failure_is_an_error_of_a_refusal_is_not(collector):
    traces = Traces()
    for status in (422, 503):
        traces.answered(None, AnsweredRequest("parcels", "7", "champion", 0, "r", status, 0.001))
    traces.close()
    refused, failed = (span for _, span in collector.spans())
    assert refused.status.code == Status.STATUS_CODE_UNSET
    assert failed.status.code == Status.STATUS_CODE_ERROR


@pytest.mark.slow
def test_close_collector_down_gives_up_after_two_seconds(monkeypatch, unused_port):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{unused_port}")
    traces = Traces()
    traces.answered(None, REQUEST)
    started = monotonic()
    traces.close()
    assert monotonic() - started < 8  # OpenTelemetry alone tries again for ten
    assert [thread.name for thread in threading.enumerate() if "Otel" in thread.name] == []


def test_tracing_without_a_collector_imports_nothing(monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert not traces_wanted()
    program = "import sys, serving.observability.tracing; print([name for name in sys.modules if 'opentelemetry' in name])"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_tracing_not_started_or_not_collected_has_no_traces(collector):
    unwanted, wanted = Tracing(wanted=False), Tracing(wanted=True)
    unwanted.start()
    assert unwanted.traces is None
    unwanted.stop()
    assert wanted.traces is None
    wanted.start()
    wanted.traces.answered(PARENT, REQUEST)
    wanted.stop()
    assert wanted.traces is None
    assert len(collector.spans()) == 1
