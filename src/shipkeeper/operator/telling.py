"""Telling what happens to the objects of one kind: in the log, and by Events."""

from typing import Any

from shipkeeper.engine.journal import Outcome
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import tell_event


def end_of(ledger: ClusterLedger, why: str) -> tuple[str, str]:
    """How a run ended, and the same in a sentence."""
    told = f"run {ledger.record.id} ended"
    return str(ledger.record.outcome), f"{told}: {why}" if why else told


def is_bad_end(ledger: ClusterLedger) -> bool:
    """Whether somebody should look at how a run ended."""
    return ledger.record.outcome not in (Outcome.SUCCEEDED, Outcome.ABORTED)


class Voice:
    """Tells what happens to the objects of a kind."""

    def __init__(self, scene: Scene, kind: Kind[Any]) -> None:
        self._scene = scene
        self._kind = kind

    async def say(
        self, found: CustomObject, reason: str, message: str, *, is_warning: bool = False
    ) -> None:
        """Tell what happens, in the log and by an Event."""
        self._scene.say(f"{self._kind.kind} {found.name}: {reason}: {message}")
        writer = self._scene.writer
        await tell_event(writer, self._kind, found, reason, message, is_warning=is_warning)

    async def ended(self, found: CustomObject, ledger: ClusterLedger, why: str) -> None:
        """Tell that a run came to its end, and why to this one."""
        await self.say(found, *end_of(ledger, why), is_warning=is_bad_end(ledger))

    async def started(self, found: CustomObject, ledger: ClusterLedger) -> None:
        """Tell that a run is begun, or gone on with."""
        run = ledger.record.id
        if not ledger.entries(run):
            await self.say(found, "Started", f"run {run}")
        elif self._scene.follows_setback:
            message = (
                f"etcd was restored to an older state: run {run} goes on from there, and looks "
                "again at all that it does"
            )
            await self.say(found, "WentBack", message, is_warning=True)
        else:
            await self.say(found, "Resumed", f"run {run} goes on where it was")
