"""The live table: the nodes of a run, drawn again and again at the foot of the terminal."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shipkeeper.cli.output import say, write
from shipkeeper.engine.progress import Event, ItemChanged, Note, PlanRevised
from shipkeeper.model.duration import format_duration
from shipkeeper.nodes.standing import NodeStanding, Standing

_DRAW_EVERY = 0.15  # seconds
_PODS_SHOWN = 3  # of each node
_HINDERED = frozenset({"Waiting", "Terminating", "Failed"})
_LEAST_TELLING = ("Done", "Drained", "Pending")


@asynccontextmanager
async def live_screen() -> "AsyncGenerator[LiveScreen]":
    """A live table on stderr for the length of the context."""
    screen = LiveScreen(Console(stderr=True))
    drawing = asyncio.create_task(screen.draw())
    try:
        yield screen
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        screen.close()


class LiveScreen:
    """A sink whose table stands below everything else that is said."""

    def __init__(self, console: Console) -> None:
        self.standing = Standing()
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._unsaid: list[Callable[[], None]] = []
        self._began = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Take in an event; the next drawing shows it."""
        self.standing(event)
        if isinstance(event, Note):
            self.say(event.message)
        if isinstance(event, PlanRevised):
            for change in event.changes:
                self.say(f"planned anew: {change}")

    def put(self, text: str) -> None:
        """Write data to stdout at the next drawing."""
        self._unsaid.append(lambda: write(text))

    def say(self, line: str) -> None:
        """Write a line above the table at the next drawing."""
        self._unsaid.append(lambda: say(line))

    async def draw(self) -> None:
        """Draw until cancelled."""
        while True:
            self._say_everything()
            if self.standing.nodes:
                self._live.start()
                self._live.update(self._table(), refresh=True)
            await asyncio.sleep(_DRAW_EVERY)

    def close(self) -> None:
        """Take the table away and say what is left."""
        self._live.stop()
        self._say_everything()

    def _say_everything(self) -> None:
        if self._unsaid:
            # Both streams are the same terminal as a rule, so the table makes way.
            self._live.stop()
            unsaid, self._unsaid = self._unsaid, []
            for each in unsaid:
                each()

    def _table(self) -> Table:
        elapsed = format_duration(timedelta(seconds=time.monotonic() - self._began))
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="")
        for title in ("NODE", "STATE", "PODS", f"WAITING-FOR ({elapsed})"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        nodes = list(self.standing.nodes.values())
        shown = _most_telling(nodes, room=max(self._console.height - 3, 1))
        for node in shown:
            table.add_row(*(Text(cell) for cell in _cells(node)))
        if len(shown) < len(nodes):
            table.add_row(f"and {len(nodes) - len(shown)} more")
        return table


def _most_telling(nodes: list[NodeStanding], room: int) -> list[NodeStanding]:
    """As many nodes as there is room for, in their order; those that are worked on come first."""
    by_interest = sorted(nodes, key=lambda node: node.state in _LEAST_TELLING)
    chosen = {node.node for node in by_interest[:room]}
    return [node for node in nodes if node.node in chosen]


def _cells(node: NodeStanding) -> tuple[str, ...]:
    pods = f"{node.moved}/{node.moving}" if node.moving else "-"
    return node.node, node.state, pods, node.message or _waiting(list(node.pods.values()))


def _waiting(pods: list[ItemChanged]) -> str:
    hindered = [pod for pod in pods if pod.state in _HINDERED]
    shown = "; ".join(f"{pod.item}: {pod.message or pod.state}" for pod in hindered[:_PODS_SHOWN])
    more = len(hindered) - _PODS_SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown
