"""One run that an object asks for, while this process carries it out, or takes it back."""

import asyncio
import shutil
import traceback
from collections.abc import Callable
from typing import Protocol

from shipkeeper.engine.brake import Brake
from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.progress import Event, ItemChanged, Note, Sink
from shipkeeper.engine.run import RunResult
from shipkeeper.engine.session import Session
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.access import require_permissions
from shipkeeper.kube.connection import Connection
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.operator.footing import Both
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.scene import Scene


class Procedure(Protocol):
    """What a run is carried out and taken back by: the module `procedure` of a room."""

    async def carry_out(
        self, connection: Connection, journal: Ledger, session: Session, tell: Sink, /
    ) -> RunResult:
        """Carry a run out."""
        ...

    async def take_back(
        self, connection: Connection, journal: Ledger, session: Session, tell: Sink, /
    ) -> None:
        """Give a run up."""
        ...


class Driver:
    """Carries one run out beside the reconcilers; `changed` is called whenever that shows.

    With `is_given_up` it takes the run back instead. `error` is why it ended before the run did.
    """

    def __init__(
        self,
        scene: Scene,
        ledger: ClusterLedger,
        procedure: Procedure,
        changed: Callable[[], None],
        *,
        is_given_up: bool,
    ) -> None:
        self.ledger = ledger
        self.is_given_up = is_given_up
        self.error: ShipkeeperError | None = None
        self.note = ""
        self._waiting = ""
        self._scene = scene
        self._procedure = procedure
        self._changed = changed
        self._directory = scene.directory / ledger.record.id
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._brake = Brake(self._directory)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._drive(), name=f"drive {self.ledger.record.id}")
        self._task.add_done_callback(lambda _: self._changed())

    @property
    def is_over(self) -> bool:
        """Whether it does nothing more."""
        return self._task is not None and self._task.done()

    def pause(self, *, is_paused: bool) -> None:
        """Let no further node be begun, or let them; what is over is not held back."""
        if self.is_over:
            return
        if is_paused:
            self._brake.put_on()
        else:
            self._brake.let_go()

    async def stop(self) -> None:
        """Stop where it is; what was begun is on record."""
        if self._task is not None:
            self._task.cancel()
            # Who is cancelled meanwhile stays so: a worker that went on would hold up the end.
            await asyncio.gather(self._task, return_exceptions=True)

    async def _drive(self) -> None:
        try:
            await self._hold_lock()
        except ShipkeeperError as error:
            self.error = error
        except Exception as error:
            # A mistake of ours in one run must not take all others along.
            self._scene.say(traceback.format_exc())
            self.error = ShipkeeperError(
                f"{type(error).__name__}: {error}",
                reason="Unexpected",
                hint="see the operator's log, and report it",
            )
        finally:
            # It is in memory, and nobody looks at it any more: what counts is in the journal.
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _hold_lock(self) -> None:
        scene, run = self._scene, self.ledger.record
        if not self.is_given_up:
            await require_permissions(scene.steady, permissions_of(run.plan))
        async with cluster_lock(
            scene.reader,
            scene.writer,
            scene.holder(run.id),
            is_gone=scene.is_gone,
            tell=self._tell,
            times=scene.times,
        ) as tenure:
            session = Session(
                run=run,
                tenure=Both(scene.footing, tenure),
                directory=self._directory,
                # What was approved long ago is looked at again before its first step.
                is_resumed=True,
            )
            if self.is_given_up:
                await self._procedure.take_back(scene.connection, self.ledger, session, self._tell)
            else:
                await self._procedure.carry_out(scene.connection, self.ledger, session, self._tell)

    def _tell(self, event: Event) -> None:
        match event:
            case Note():
                self.note = event.message
                self._scene.say(f"{self.ledger.record.id}: {event.message}")
            case ItemChanged(state="Waiting") if event.message:
                self.note, self._waiting = f"{event.item} waits: {event.message}", event.item
            case ItemChanged() if event.item == self._waiting:
                self.note = self._waiting = ""
            case _:
                pass
        self._changed()

    @property
    def has_ended(self) -> bool:
        """Whether the run came to its end, and not only we."""
        outcome = self.ledger.record.outcome
        return outcome not in (None, Outcome.INTERRUPTED, Outcome.ABORTING)
