"""The two streams: stdout is data, stderr is talk.

A reader that went away (`| head`) must not stop a drain half way: what is left to say goes nowhere.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from shipkeeper.engine.report import Format, Report, render
from shipkeeper.errors import ShipkeeperError, UsageError


class OutputError(ShipkeeperError):
    """What was to be said could not be written."""


class Held:
    """What a command says about one of several clusters, held back until all were asked."""

    def __init__(self, context: str, *, takes_text: bool) -> None:
        self.context = context
        self.takes_text = takes_text
        self.reports: list[Report] = []
        self.output: str | None = None

    @property
    def value(self) -> Any:
        """The value of its report; of several, a list."""
        values = [each.value for each in self.reports]
        return values[0] if len(values) == 1 else values or None


_held: ContextVar[Held | None] = ContextVar("held", default=None)


@contextmanager
def holding(context: str, *, takes_text: bool) -> Generator[Held]:
    """Hold back the reports of what runs inside; its talk, and its text, name the context."""
    held = Held(context, takes_text=takes_text)
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)


def write(text: str) -> None:
    """Write data to stdout, at once."""
    held = _held.get()
    if held is None:
        _write(sys.stdout, text)
    elif held.takes_text:
        _write(sys.stdout, "".join(f"{held.context}: {line}\n" for line in text.splitlines()))
    else:
        raise UsageError(
            "this output format is for one cluster",
            reason="SeveralClusters",
            hint="name one context with --context, or choose -o json",
        )


def say(line: str) -> None:
    """Write one line of talk to stderr."""
    held = _held.get()
    place = f"{held.context}: " if held is not None else ""
    _write(sys.stderr, f"{place}{line}\n")


def show(report: Report, output: str | None) -> None:
    """Write a report to stdout in the format of `-o`."""
    held = _held.get()
    if held is not None:
        held.reports.append(report)
        held.output = output
        return
    text = render(report, Format(output or Format.TEXT))
    if text:
        write(text)
    else:
        say("No resources found")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except OSError as error:
        raise OutputError(
            f"cannot write the output: {error.strerror}",
            reason="OutputFailed",
            hint="free space where the output goes",
        ) from error
