"""From full segments to uploaded packs: one thread compresses, some uploads run beside it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from shipkeeper.store.pack import Pack, Packer, Segment

# A few turns: more waits in memory and makes nothing faster.
BACKLOG_BYTES = 8 * 1024 * 1024
_UPLOADS = 3
_TURN_BYTES = 2 * 1024 * 1024


class Job(msgspec.Struct, frozen=True):
    """A full segment, the objects in it, and their bytes in all."""

    segment: Segment
    bodies: list[bytes]
    size: int


class Pipeline:
    """Takes segments in any number; `relax` makes the caller wait while too much is under way."""

    def __init__(self, packer: Packer, upload: Callable[[Pack], Awaitable[None]]) -> None:
        self._packer = packer
        self._upload = upload
        self._backlog: deque[Job] = deque()
        self._bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._uploads: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    def feed(self, job: Job) -> None:
        """Queue one segment."""
        self._backlog.append(job)
        self._bytes += job.size
        if self._worker is None or self._worker.done():
            self._worker = self._start(self._work)

    async def relax(self) -> None:
        """Wait until the backlog is small; raises what went wrong below."""
        while self._bytes > BACKLOG_BYTES and self._failure is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    async def finish(self) -> None:
        """Pack what is left, and wait until everything is uploaded."""
        while self._worker and not self._worker.done():
            await asyncio.wait({self._worker})
        self._raise()
        pack = await asyncio.to_thread(self._packer.finish)
        if pack:
            self._send(pack)
        while self._uploads:
            await asyncio.wait(self._uploads)
        self._raise()

    async def abandon(self) -> None:
        """Stop everything."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def _running(self) -> set[asyncio.Task[None]]:
        working = self._worker if self._worker and not self._worker.done() else None
        return self._uploads | {working} if working else set(self._uploads)

    async def _work(self) -> None:
        while self._backlog and self._failure is None:
            jobs = self._turn()
            for pack in await asyncio.to_thread(self._press, jobs):
                self._send(pack)
            self._bytes -= sum(job.size for job in jobs)
            while len(self._uploads) >= _UPLOADS:
                await asyncio.wait(self._uploads, return_when=asyncio.FIRST_COMPLETED)

    def _turn(self) -> list[Job]:
        jobs: list[Job] = []
        size = 0
        while self._backlog and size < _TURN_BYTES:
            jobs.append(self._backlog.popleft())
            size += jobs[-1].size
        return jobs

    def _press(self, jobs: Sequence[Job]) -> list[Pack]:
        packs = (self._packer.add(job.segment, job.bodies) for job in jobs)
        return [pack for pack in packs if pack]

    def _send(self, pack: Pack) -> None:
        task = self._start(lambda: self._upload(pack))
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    def _start(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work()
            except BaseException as error:
                self._failure = self._failure or error
                raise

        task = asyncio.create_task(guarded())
        # The failure is raised to the caller by `relax` and `finish`, not by the task.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    def _raise(self) -> None:
        if self._failure:
            raise self._failure
