"""Spans, sent by OpenTelemetry's library in a thread of its own; nobody waits for them.

This is the only module that imports the library, and it is imported only when traces are wanted.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from shipkeeper import __version__

Attributes = Mapping[str, str | int | bool | Sequence[str]]

_DELAY = "OTEL_BSP_SCHEDULE_DELAY"
# A process that is killed takes along what was not sent yet: less than by the library's 5 seconds.
_SEND_EVERY = 1_000  # milliseconds


class Tracer:
    """Begins spans; `told` is called, in another thread, with trouble, and with "" when it ends."""

    def __init__(self, receiver: str, told: Callable[[str], None]) -> None:
        _keep_quiet()
        self._ids = _Ids()
        self._exporter = _WatchedExporter(receiver, told)
        # As attributes of its own the library would take ours for more than the user's.
        resource = Resource.create({"service.name": "shipkeeper", "service.version": __version__})
        self._provider = TracerProvider(
            resource=resource.merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        delay = None if os.environ.get(_DELAY) else _SEND_EVERY
        processor = BatchSpanProcessor(self._exporter, schedule_delay_millis=delay)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("shipkeeper", __version__)
        self._ending, self._ended = threading.Event(), threading.Event()
        # Begun now, as no thread can be once the process ends.
        threading.Thread(target=self._end, name="end of traces", daemon=True).start()

    def run(self, id_: str, name: str, attributes: Attributes, began: datetime | None) -> "RunSpan":
        """The span of a run; its ids, and so those of its trace, follow from the run's."""
        at = None if began is None else int(began.timestamp() * 1e9)
        with self._ids.of(id_):
            span = self._tracer.start_span(
                name, context=Context(), attributes=attributes, start_time=at
            )
        return RunSpan(span, self._tracer.start_span)

    def close(self, seconds: float) -> bool:
        """Send what is left, for so long at most; whether all of it was sent in time."""
        self._ending.set()
        return self._ended.wait(seconds) and not self._exporter.lost

    def _end(self) -> None:
        self._ending.wait()
        self._provider.shutdown()
        self._ended.set()


class StepSpan:
    """A span that has begun; it is sent once it has ended, and never if it does not."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def note(self, name: str, attributes: Attributes) -> None:
        """Something happened in it."""
        self._span.add_event(name, attributes)

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        """It is over; `error` says why, if that was no good end."""
        self._span.set_attributes(attributes)
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class RunSpan(StepSpan):
    """The span of a run."""

    def __init__(self, span: Span, start: Callable[..., Span]) -> None:
        super().__init__(span)
        self._start = start
        self._context = set_span_in_context(span, Context())

    def within(self, name: str, attributes: Attributes) -> StepSpan:
        """Begin a span of it."""
        return StepSpan(self._start(name, context=self._context, attributes=attributes))


class _Ids(RandomIdGenerator):
    """Ids of spans: those of a run follow from its name, all others are random."""

    def __init__(self) -> None:
        self._digest = b""

    @contextmanager
    def of(self, run: str) -> Generator[None]:
        """The next span is a run's own."""
        self._digest = hashlib.sha256(run.encode()).digest()
        try:
            yield
        finally:
            self._digest = b""

    def generate_trace_id(self) -> int:
        return int.from_bytes(self._digest[:16]) or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return int.from_bytes(self._digest[16:24]) or super().generate_span_id()


class _WatchedExporter(SpanExporter):
    """The library's exporter, and how its sending goes."""

    def __init__(self, receiver: str, told: Callable[[str], None]) -> None:
        self.lost = 0
        self._receiver = receiver
        self._told = told
        self._trouble = ""
        self._status = 0
        session = requests.Session()
        session.hooks["response"].append(self._note)
        self._exporter = OTLPSpanExporter(session=session)

    def _note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self._status = response.status_code

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._status = 0
        result = self._exporter.export(spans)
        # The library takes a redirect for success, and does not follow it.
        is_received = result is SpanExportResult.SUCCESS and self._status < 300
        self.lost += 0 if is_received else len(spans)
        self._tell("" if is_received else self._words())
        return result

    def _words(self) -> str:
        """Our own: the library's may hold what is secret of a URL."""
        if self._status:
            return f"{self._receiver} answers with HTTP status {self._status}"
        return f"{self._receiver} does not answer"

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._told(trouble)

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _keep_quiet() -> None:
    """The library's log may hold headers, and would run into the live table of a terminal."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
