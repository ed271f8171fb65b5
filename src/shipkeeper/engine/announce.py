"""Kubernetes Events about a run's steps, so that `kubectl describe node` tells of them.

They are told at best effort: a run does not wait for them, and does not fail with them.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from shipkeeper.engine import progress
from shipkeeper.engine.plan import Step
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.resources import EVENTS
from shipkeeper.kube.writer import Writer

# Steps whose beginning is worth an Event; of the others their end says all, if even that: the
# kubelet itself tells of a node that is cordoned or Ready again.
_LONG = frozenset({"drain", "update"})
_TOLD_BY_OTHERS = frozenset({"cordon", "ready", "uncordon"})
_LAST_WORDS = 5.0  # seconds that the last Events may take once the run is over


@contextlib.asynccontextmanager
async def announcing(
    writer: Writer, run: str, tell: progress.Sink
) -> AsyncGenerator[progress.Sink]:
    """Yield a sink that passes everything on, and writes Events about steps of nodes."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def announce(event: progress.Event) -> None:
        tell(event)
        manifest = _manifest(event, run)
        if manifest is not None:
            queue.put_nowait(manifest)

    writing = asyncio.create_task(_write(queue, writer))
    try:
        yield announce
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await queue.join()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def _write(queue: asyncio.Queue[dict[str, Any]], writer: Writer) -> None:
    while True:
        manifest = await queue.get()
        with contextlib.suppress(ShipkeeperError):
            await writer.create(EVENTS, manifest, namespace="default")
        queue.task_done()


def _manifest(event: progress.Event, run: str) -> dict[str, Any] | None:
    match event:
        case progress.StepStarted(step) if step.action in _LONG:
            return _event(step, run, "Normal", "Started", step.effect)
        case progress.StepDone(step, already=False) if step.action not in _TOLD_BY_OTHERS:
            return _event(step, run, "Normal", "Done", step.effect)
        case progress.StepFailed(step, verdict):
            return _event(step, run, "Warning", "Failed", verdict.message)
        case _:
            return None


def _event(step: Step, run: str, type_: str, suffix: str, message: str) -> dict[str, Any] | None:
    kind, _, name = step.target.partition("/")
    if kind != "node":
        return None
    now = datetime.now(UTC)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name}.shipkeeper.", "namespace": "default"},
        # The kubelet's own Events carry the node's name as its UID, and kubectl looks for that.
        "involvedObject": {"kind": "Node", "name": name, "uid": name, "apiVersion": "v1"},
        "reason": f"{step.action.capitalize()}{suffix}",
        "message": f"{message} ({run})"[:1024],
        "type": type_,
        "source": {"component": "shipkeeper"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
