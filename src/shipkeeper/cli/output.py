"""The two streams: stdout is data, stderr is talk.

A reader that went away (`| head`) must not stop a drain half way: what is left to say goes nowhere.
"""

import os
import sys
from typing import TextIO

from shipkeeper.engine.report import Format, Report, render
from shipkeeper.errors import ShipkeeperError


class OutputError(ShipkeeperError):
    """What was to be said could not be written."""


def write(text: str) -> None:
    """Write data to stdout, at once."""
    _write(sys.stdout, text)


def say(line: str) -> None:
    """Write one line of talk to stderr."""
    _write(sys.stderr, f"{line}\n")


def show(report: Report, output: str | None) -> None:
    """Write a report to stdout in the format of `-o`."""
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
