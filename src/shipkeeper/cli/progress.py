"""The progress of a run on stderr: a live table on a terminal, JSON lines elsewhere."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from shipkeeper.cli.output import say, write
from shipkeeper.engine.onlooking import as_line
from shipkeeper.engine.progress import Event
from shipkeeper.nodes.standing import Standing


class Screen(Protocol):
    """A sink that shows a run, and knows where it stands.

    Whatever else is said meanwhile goes through it, so that its display stays in one piece.
    """

    standing: Standing

    def __call__(self, event: Event) -> None:
        """Show an event."""
        ...

    def put(self, text: str) -> None:
        """Write data to stdout."""
        ...

    def say(self, line: str) -> None:
        """Write a line to stderr."""
        ...


@asynccontextmanager
async def open_screen() -> AsyncGenerator[Screen]:
    """The screen that fits stderr."""
    if not sys.stderr.isatty():
        yield LineScreen()
        return
    from shipkeeper.cli.live import live_screen

    async with live_screen() as screen:
        yield screen


class LineScreen:
    """One JSON object for each event, on a line of its own."""

    def __init__(self) -> None:
        self.standing = Standing()

    def __call__(self, event: Event) -> None:
        """Write the event down."""
        self.standing(event)
        line = {"time": datetime.now(UTC), **as_line(event)}
        self.say(msgspec.json.encode(line).decode())

    def put(self, text: str) -> None:
        """Write data to stdout."""
        write(text)

    def say(self, line: str) -> None:
        """Write a line to stderr."""
        say(line)
