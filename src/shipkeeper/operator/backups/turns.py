"""Where Backups wait for their turns: those made in this process, and beside them those in Jobs."""

import asyncio
from collections.abc import Awaitable, Callable

from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.visible import Taken
from shipkeeper.operator.errands import Errands

# Who waits for a Job holds nothing here; how many of them the cluster and the store bear is another
# matter.
_JOBS = 2


class Turns:
    """One backup at a time is made here, in one of the `slots`; two Jobs go on beside it.

    `changed` is called with the key of a Backup that is done.
    """

    def __init__(self, changed: Callable[[str], None], slots: asyncio.Semaphore) -> None:
        self._here: Errands[Taken] = Errands(changed, slots)
        self._in_jobs: Errands[Taken] = Errands(changed, turn=asyncio.Semaphore(_JOBS))

    def outcome(
        self, found: CustomObject, work: Callable[[], Awaitable[Taken]], *, in_job: bool
    ) -> Taken | None:
        """What the work came to, told once; None while it goes on. Raises what it raised."""
        errands = self._in_jobs if in_job else self._here
        # Old servers let anybody change the spec: what was begun ends where it was begun.
        going = next((each for each in self._both if each.is_under_way(found)), errands)
        return going.outcome(found, work)

    def is_under_way(self, found: CustomObject) -> bool:
        """Whether a Backup waits for its turn, is made, or is made and that not yet told."""
        return any(each.is_under_way(found) for each in self._both)

    def drop(self, key: str) -> None:
        """Nobody wants the backup of a key any more."""
        for each in self._both:
            each.drop(key)

    async def stop(self) -> None:
        """Stop everything."""
        for each in self._both:
            await each.stop()

    @property
    def _both(self) -> tuple[Errands[Taken], Errands[Taken]]:
        return self._here, self._in_jobs
