"""Steering pods away from nodes that are still to be done, so that none has to move twice.

A soft taint makes the scheduler prefer other nodes; it never keeps a pod Pending.
"""

from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes.taint import RunTaint

TAINT = "shipkeeper.dev/maintenance-pending"
PENDING = RunTaint(TAINT, "PreferNoSchedule")


async def steer_away(reader: Reader, writer: Writer, name: str, *, run: str) -> None:
    """Let the scheduler avoid a node that a run has still to do; pass over one that is gone."""
    await PENDING.put(reader, writer, name, run=run)


async def unsteer(reader: Reader, writer: Writer, name: str, *, run: str) -> None:
    """Take the run's taint away from a node, if it is there."""
    await PENDING.take(reader, writer, name, run=run)
