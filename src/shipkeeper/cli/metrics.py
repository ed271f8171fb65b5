"""The flags for metrics of a run, and what they do."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from shipkeeper.cli.output import say
from shipkeeper.engine.exposition import CONTENT_TYPE, read_gauge
from shipkeeper.engine.metrics import LAST_SUCCESS, RunMetrics
from shipkeeper.metrics.textfile import MetricsFileError, read_text, replace_text

_WRITE_EVERY = 5.0  # seconds


@Parameter(name="*", group=Group("Metrics", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class MetricsFlags:
    """Where a run's metrics go."""

    metrics_file: Annotated[
        str, Parameter(help="Keep them in this file, for node_exporter's textfile collector.")
    ] = ""
    metrics_address: Annotated[
        str, Parameter(help="Serve them at HOST:PORT/metrics while the run lasts.")
    ] = ""

    @asynccontextmanager
    async def collecting(self) -> AsyncGenerator[RunMetrics]:
        """A sink whose metrics are kept and served for the length of the context."""
        path = self._path()
        before = read_text(path) if path is not None else ""
        metrics = RunMetrics(time.time, read_gauge(before, LAST_SUCCESS, "procedure"))
        async with self.exposing(metrics.as_text):
            yield metrics

    @asynccontextmanager
    async def exposing(self, as_text: Callable[[], str]) -> AsyncGenerator[None]:
        """Keep and serve what `as_text` gives for the length of the context."""
        path = self._path()
        async with AsyncExitStack() as stack:
            if path is not None:
                # What cannot be written is said now, before anything is done.
                replace_text(path, as_text())
                await stack.enter_async_context(_keeping(path, as_text))
            if self.metrics_address:
                from shipkeeper.metrics.server import serving

                url = await stack.enter_async_context(
                    serving(self.metrics_address, as_text, CONTENT_TYPE)
                )
                say(f"metrics: {url}")
            yield

    def _path(self) -> Path | None:
        return Path(self.metrics_file).expanduser() if self.metrics_file else None


# Nowhere.
UNMEASURED = MetricsFlags()


@asynccontextmanager
async def _keeping(path: Path, as_text: Callable[[], str]) -> AsyncGenerator[None]:
    writing = asyncio.create_task(_write_again_and_again(path, as_text))
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        _write(path, as_text)


async def _write_again_and_again(path: Path, as_text: Callable[[], str]) -> None:
    while True:
        await asyncio.sleep(_WRITE_EVERY)
        _write(path, as_text)


def _write(path: Path, as_text: Callable[[], str]) -> None:
    """A run does not end because its metrics cannot be written."""
    try:
        replace_text(path, as_text())
    except MetricsFileError as error:
        say(f"Warning: {error.message}")
