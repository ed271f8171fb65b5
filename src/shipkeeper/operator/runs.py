"""The runs that this process carries out: one at a time, of whichever kind, as in the cluster.

They share the turn because they share the cluster's lock: to it, all of them are one leader's.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec

from shipkeeper.engine.journal import JournalError
from shipkeeper.errors import LockHeldError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.driver import Driver, Procedure
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.situation import CHANGED, Phase, Situation, other
from shipkeeper.operator.told import explained

# Progress is written no more often than this.
_GATHERING = timedelta(seconds=1)
_LOOK_AGAIN = timedelta(minutes=1)
_LOCK_AGAIN = timedelta(seconds=10)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A run that an object asks for, and by which procedure it is carried out.

    `look_at` has the object looked at after a while, `forget_journal` its journal read anew.
    """

    found: CustomObject
    ledger: ClusterLedger
    procedure: Procedure
    look_at: Callable[[timedelta], None]
    forget_journal: Callable[[], None]

    @property
    def uid(self) -> str:
        """What the run is known by."""
        return self.found.uid

    @property
    def is_over(self) -> bool:
        """Whether it came to its end."""
        return not self.ledger.record.is_unfinished


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands, when to look again, and whether it was begun, or gone on with, just now."""

    situation: Situation
    again: timedelta | None = None
    has_started: bool = False


class Runs:
    """The runs, by the UID of the object that asks for each."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._drivers: dict[str, Driver] = {}
        self._names: dict[str, str] = {}
        self._rests: dict[str, tuple[float, Situation]] = {}
        self._waiting: list[Callable[[], None]] = []

    def when_free(self, wake: Callable[[], None]) -> None:
        """Have something called whenever the turn is free again."""
        self._waiting.append(wake)

    def advance(
        self, asked: Asked, *, is_approved: bool, is_paused: bool, is_changed: bool
    ) -> Stand:
        """Start, hold back or restart a run; `is_changed` if something else is asked for by now."""
        driver = self._drivers.get(asked.uid)
        if driver is not None and driver.is_over and not driver.has_ended:
            return self._after(asked, driver)
        if driver is None and asked.is_over:
            # Whoever led before us wrote down how it ended, and died before that was told.
            return _stand(Phase.WAITING, "Ended", "it came to its end")
        if resting := self._resting(asked.uid):
            return resting
        if driver is not None:
            driver.pause(is_paused=is_paused)
            return Stand(situation=_under_way(driver, is_paused=is_paused))
        if is_changed and asked.ledger.is_untouched:
            return _stand(Phase.AWAITING_APPROVAL, "SpecIgnored", CHANGED)
        if not is_approved:
            message = "see status.plan, then set spec.approved to true"
            return _stand(Phase.AWAITING_APPROVAL, "AwaitingApproval", message)
        if is_paused and not asked.ledger.entries(asked.ledger.record.id):
            return _stand(Phase.PAUSED, "Paused", "spec.paused is true")
        if busy := self.busy:
            return Stand(situation=other(busy))
        driver = self._drive(asked, is_given_up=False)
        driver.pause(is_paused=is_paused)
        driver.start()
        return Stand(situation=_under_way(driver, is_paused=is_paused), has_started=True)

    def take_back(self, asked: Asked) -> Stand:
        """Take back a run that was halted: its object is deleted."""
        driver = self._drivers.get(asked.uid)
        stand = _stand(Phase.STOPPING, "Stopping", "it is taken back: it was deleted")
        if driver is None and (resting := self._resting(asked.uid)):
            stand = resting
        elif driver is None:
            self._drive(asked, is_given_up=True).start()
            stand = msgspec.structs.replace(stand, has_started=True)
        elif driver.is_over:
            stand = self._after(asked, driver)
        situation = msgspec.structs.replace(stand.situation, phase=Phase.STOPPING)
        return msgspec.structs.replace(stand, situation=situation)

    async def halt(self, uid: str) -> bool:
        """Stop a run where it is, unless it is being taken back; False if nothing went on."""
        driver = self._drivers.get(uid)
        return driver is not None and not driver.is_given_up and await self.abandon(uid)

    async def abandon(self, uid: str) -> bool:
        """Stop a run where it is, or its being taken back; False if nothing went on."""
        driver = self._drivers.get(uid)
        if driver is None:
            return False
        went_on = not driver.is_over
        await driver.stop()
        self._drivers.pop(uid, None)
        return went_on

    def forget(self, uid: str) -> None:
        """Nothing more comes of a run."""
        self._drivers.pop(uid, None)
        self._names.pop(uid, None)
        self._rests.pop(uid, None)

    def free(self) -> None:
        """A run is over: let all look that wait for their turn."""
        for wake in self._waiting:
            wake()

    async def stop(self) -> None:
        """Stop every run where it is."""
        for driver in tuple(self._drivers.values()):
            await driver.stop()

    @property
    def busy(self) -> str:
        """The name of the object whose run is carried out now; empty if there is none."""
        going = (uid for uid, driver in self._drivers.items() if not driver.is_over)
        return next((self._names[uid] for uid in going), "")

    def _drive(self, asked: Asked, *, is_given_up: bool) -> Driver:
        driver = Driver(
            self._scene,
            asked.ledger,
            asked.procedure,
            lambda: asked.look_at(_GATHERING),
            is_given_up=is_given_up,
        )
        self._drivers[asked.uid] = driver
        self._names[asked.uid] = asked.found.name
        return driver

    def _after(self, asked: Asked, driver: Driver) -> Stand:
        """A driver ended before its run did: say why, and have another start later."""
        del self._drivers[asked.uid]
        error = driver.error
        if error is not None:
            self._scene.complain(f"run {driver.ledger.record.id}", error)
        if error is None or isinstance(error, JournalError):
            # Another process wrote it, or we were stopped: what it says now is read anew.
            asked.forget_journal()
            return _stand(Phase.WAITING, "Interrupted", "", _GATHERING)
        pause = _LOCK_AGAIN if isinstance(error, LockHeldError) else _LOOK_AGAIN
        stand = _stand(Phase.WAITING, error.reason, explained(error), pause)
        until = asyncio.get_running_loop().time() + pause.total_seconds()
        self._rests[asked.uid] = (until, stand.situation)
        return stand

    def _resting(self, uid: str) -> Stand | None:
        """How a run stands that failed a moment ago, and is not to be begun again yet."""
        until, situation = self._rests.get(uid, (0.0, None))
        left = until - asyncio.get_running_loop().time()
        if situation is None or left <= 0:
            self._rests.pop(uid, None)
            return None
        return Stand(situation=situation, again=timedelta(seconds=left))


def _stand(phase: Phase, reason: str, message: str, again: timedelta | None = None) -> Stand:
    return Stand(situation=Situation(phase=phase, reason=reason, message=message), again=again)


def _under_way(driver: Driver, *, is_paused: bool) -> Situation:
    if is_paused:
        message = "spec.paused is true: no further node is begun"
        return Situation(phase=Phase.PAUSED, reason="Paused", message=message)
    return Situation(phase=Phase.RUNNING, reason="Running", message=driver.note)
