"""The traces of this process; without OpenTelemetry's variables there are none, at no cost."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shipkeeper.traces.variables import are_wanted, foreign_protocol, receiver

if TYPE_CHECKING:
    from shipkeeper.traces.otlp import Tracer

_LAST_WORDS = 2.0  # seconds that the last spans may take once everything else is done


class Tracing:
    """Traces, as the environment asks for them; whatever goes wrong with them is told, not raised.

    The library is imported when the first run begins.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._is_begun = False
        self._tracer: Tracer | None = None
        self._trouble = ""
        self._say: Callable[[str], None] | None = None

    def report_to(self, say: Callable[[str], None]) -> None:
        """Have trouble told when it begins and when it ends, in a thread of its own."""
        self._say = say

    def tracer(self) -> "Tracer | None":
        """What begins spans; None if nobody wants them, or they cannot be sent."""
        if not self._is_begun:
            self._is_begun = True
            if are_wanted(self._environment):
                self._begin()
        return self._tracer

    def close(self) -> str:
        """Send what is left, for a moment at most; what went wrong, in one sentence, or nothing."""
        if self._tracer is None:
            return self._trouble
        tracer, self._tracer = self._tracer, None
        if tracer.close(_LAST_WORDS):
            return ""
        return self._trouble or self._lost(
            f"{receiver(self._environment)} did not take all of them in time"
        )

    def _begin(self) -> None:
        if protocol := foreign_protocol(self._environment):
            self._fail(f"their protocol is {protocol}, and only http/protobuf is spoken here")
            return
        try:
            from shipkeeper.traces.otlp import Tracer

            self._tracer = Tracer(receiver(self._environment), self._heard)
        except ImportError:
            self._fail("their library is not installed: pip install 'shipkeeper[traces]'")
        except Exception as error:
            # Whatever the library makes of its variables: a run does not fail with it. What it
            # says may hold a part of them.
            self._fail(f"OpenTelemetry's variables make no sense ({type(error).__name__})")

    def _fail(self, why: str) -> None:
        self._trouble = f"no traces are sent: {why}"
        if self._say is not None:
            self._say(self._trouble)

    def _heard(self, trouble: str) -> None:
        if trouble:
            self._trouble = self._lost(trouble)
        if self._say is not None:
            self._say(self._trouble if trouble else "traces are received again")

    def _lost(self, why: str) -> str:
        return f"traces were lost: {why}"


tracing = Tracing(os.environ)
