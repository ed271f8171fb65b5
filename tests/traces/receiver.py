"""Somebody who receives traces: OpenTelemetry's protocol over HTTP, on loopback."""

import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A span that was received; `parent` is empty if it has none."""

    trace: str
    id: str
    parent: str
    name: str
    took: int  # nanoseconds
    attributes: Mapping[str, object]
    resource: Mapping[str, object]
    events: Sequence[tuple[str, Mapping[str, object]]]
    is_error: bool
    message: str

    @property
    def outcome(self) -> object:
        """What became of it."""
        return self.attributes["shipkeeper.outcome"]


class Receiver:
    """Receives spans; or answers with another `status`, or, if it hangs, not at all."""

    def __init__(self, *, status: int = 200, hangs: bool = False) -> None:
        self.spans: list[Span] = []
        self.headers: list[Mapping[str, str]] = []
        self.requests = 0
        self._came = threading.Condition()
        self._let_go = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.note(self.path, headers, body)
                if hangs:
                    receiver.wait_for_end()
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Receive nothing more: nobody listens."""
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for_end(self) -> None:
        """Wait until it dies."""
        self._let_go.wait()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What has traces sent here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address}"}

    def note(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take a request in."""
        assert path.partition("?")[0] == "/v1/traces"
        assert headers["content-type"] == "application/x-protobuf"
        found = ExportTraceServiceRequest.FromString(body)
        with self._came:
            self.requests += 1
            self.headers.append(headers)
            for each in found.resource_spans:
                resource = _attributes(each.resource.attributes)
                for scope in each.scope_spans:
                    self.spans += [_span(span, resource) for span in scope.spans]
            self._came.notify_all()

    def await_request(self) -> None:
        """Return once a request came; AssertionError if none does."""
        with self._came:
            assert self._came.wait_for(lambda: self.requests, timeout=600)

    def await_span(self, name: str) -> None:
        """Return once a span of that name came; AssertionError if none does."""
        with self._came:
            assert self._came.wait_for(lambda: name in self.names, timeout=600), self.names

    @property
    def names(self) -> list[str]:
        """The names of all spans, in the order in which they were received."""
        return [each.name for each in self.spans]

    def named(self, name: str) -> Span:
        """The one span of a name."""
        (found,) = [each for each in self.spans if each.name == name]
        return found


def _span(found: Message, resource: Mapping[str, object]) -> Span:
    return Span(
        trace=found.trace_id.hex(),
        id=found.span_id.hex(),
        parent=found.parent_span_id.hex(),
        name=found.name,
        took=found.end_time_unix_nano - found.start_time_unix_nano,
        attributes=_attributes(found.attributes),
        resource=resource,
        events=[(each.name, _attributes(each.attributes)) for each in found.events],
        is_error=found.status.code == Status.STATUS_CODE_ERROR,
        message=found.status.message,
    )


def _attributes(found: Sequence[KeyValue]) -> dict[str, object]:
    return {each.key: _value(each) for each in found}


def _value(found: KeyValue) -> object:
    kind = found.value.WhichOneof("value")
    if kind == "array_value":
        return [each.string_value for each in found.value.array_value.values]
    return getattr(found.value, kind or "string_value")
