"""The runs that the objects of one kind ask for: gone on with, stopped safely, and let go of."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from shipkeeper.engine.journal import JournalError
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import ConflictError
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.driver import Procedure
from shipkeeper.operator.journals import Journals
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.runs import Asked, Runs
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.situation import Situation
from shipkeeper.operator.status import let_go

_LOOK_AGAIN = timedelta(minutes=1)


class Teller(Protocol):
    """Who tells how the objects of a kind stand."""

    async def tell(
        self, found: CustomObject, ledger: ClusterLedger, situation: Situation, /
    ) -> str:
        """Tell how one stands that has a run; returns why it stands so."""
        ...

    async def tell_stuck(self, found: CustomObject, error: ShipkeeperError, /) -> None:
        """Tell that a deleted one cannot be taken back, and how it is let go."""
        ...

    async def started(self, found: CustomObject, ledger: ClusterLedger, /) -> None:
        """Tell that a run is begun, or gone on with."""
        ...

    async def say(self, found: CustomObject, reason: str, message: str, /) -> None:
        """Tell what happens."""
        ...

    async def ended(self, found: CustomObject, ledger: ClusterLedger, why: str, /) -> None:
        """Tell that a run came to its end, and why to this one."""
        ...

    def vanished(self, name: str, /) -> None:
        """Let nothing be told of an object that is gone."""
        ...

    def forget(self, uid: str, /) -> None:
        """Nothing more is told of an object's plan."""
        ...


class DeclaredRuns:
    """The runs of the objects of one kind, by whatever `procedure` they are carried out."""

    def __init__(
        self,
        scene: Scene,
        kind: Kind[Any],
        queue: WorkQueue,
        runs: Runs,
        everything: Mapping[str, CustomObject],
        procedure: Procedure,
        teller: Teller,
    ) -> None:
        self.journals = Journals(scene, kind)
        self._scene = scene
        self._kind = kind
        self._queue = queue
        self._runs = runs
        self._everything = everything
        self._procedure = procedure
        self._teller = teller
        self._uids: dict[str, str] = {}
        scene.measures.count(kind.kind, everything)
        runs.when_free(self._wake_all)

    async def note(self, found: CustomObject) -> None:
        """Take note of whom a name means; what another object of that name had goes."""
        if self._uids.get(found.key, found.uid) != found.uid:
            # It was deleted and created again before anybody looked.
            await self.vanished(found.key)
        self._uids[found.key] = found.uid

    async def go_on(
        self,
        found: CustomObject,
        ledger: ClusterLedger,
        *,
        is_paused: bool,
        is_changed: bool,
        is_approved: bool = True,
    ) -> timedelta | None:
        """Begin a run or go on with it, and tell how it stands; when to look again."""
        asked = self._asked(found, ledger)
        stand = self._runs.advance(
            asked, is_approved=is_approved, is_paused=is_paused, is_changed=is_changed
        )
        situation = stand.situation
        if is_changed:
            situation = msgspec.structs.replace(situation, is_spec_ignored=True)
        why = await self._teller.tell(found, ledger, situation)
        if stand.has_started:
            await self._teller.started(found, ledger)
        if asked.is_over:
            self._forget(found.uid)
            await self._teller.ended(found, ledger, why)
            self._runs.free()
        return stand.again

    async def release(self, found: CustomObject) -> None:
        """Nothing more comes of an object: let it go whenever it is deleted."""
        self._forget(found.uid)
        await let_go(self._scene.writer, self._kind, found)

    async def end(self, found: CustomObject, *, has_ended: bool) -> timedelta | None:
        """The object is deleted: stop its run, take it back, and let the object go."""
        await self._runs.halt(found.uid)
        try:
            ledger = None if has_ended else await self.journals.find(found)
        except JournalError as error:
            await self._teller.tell_stuck(found, error)
            return _LOOK_AGAIN
        asked = self._asked(found, ledger) if ledger is not None else None
        if ledger is None or asked is None or asked.is_over or ledger.is_untouched:
            with suppress(ConflictError):
                await self.release(found)
            self._runs.free()
            return None
        stand = self._runs.take_back(asked)
        if stand.has_started:
            await self._teller.say(found, "Stopping", f"run {ledger.record.id} is taken back")
        await self._teller.tell(found, ledger, stand.situation)
        return stand.again

    async def vanished(self, key: str) -> None:
        """The object is gone without our leave: its run has nobody who asks for it any more."""
        uid = self._uids.pop(key, "")
        if await self._runs.abandon(uid):
            self._scene.say(
                f"{self._kind.kind} {key} is gone in the midst of its run, which stops where it "
                "is; shipkeeper nodes shows what it left cordoned"
            )
        self._forget(uid)
        self._teller.vanished(key)
        self._runs.free()

    async def stop(self) -> None:
        """Stop every run where it is."""
        await self._runs.stop()

    def _asked(self, found: CustomObject, ledger: ClusterLedger) -> Asked:
        return Asked(
            found=found,
            ledger=ledger,
            procedure=self._procedure,
            look_at=lambda pause: self._queue.add_after(found.key, pause),
            forget_journal=lambda: self.journals.forget(found.uid),
        )

    def _wake_all(self) -> None:
        """The turn is free: look at those that wait for it, the oldest first."""
        for each in sorted(
            self._everything.values(), key=lambda each: str(each.metadata.creation_timestamp)
        ):
            self._queue.add(each.key)

    def _forget(self, uid: str) -> None:
        self.journals.forget(uid)
        self._teller.forget(uid)
        self._runs.forget(uid)
