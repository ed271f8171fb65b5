"""Reconciling Backups: each is made once, and found again by its name when a leader was lost.

The name is on record before anything is stored under it. Whoever leads next looks whether a backup
of that name is visible: if it is, it was made; if not, it is made anew under the same name, and the
store lets one backup only have it.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.backup.take import Progress, take
from shipkeeper.backup.volumes.saving import VolumeOptions, VolumeProgress, VolumeSaving
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ConflictError, ForbiddenError, NotFoundError
from shipkeeper.operator.api.backups import (
    BACKUP,
    BACKUP_REPOSITORY,
    BackupSpec,
    BackupStatus,
    BegunWith,
)
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.backup_job import JobRequest, backup_job
from shipkeeper.operator.backups.grants import BACKUP_JOBS
from shipkeeper.operator.backups.hostless import no_hosts
from shipkeeper.operator.backups.in_job import taken_in_job
from shipkeeper.operator.backups.job_verdict import HopelessJobError, JobFailedError
from shipkeeper.operator.backups.jobs import require_may_make
from shipkeeper.operator.backups.opening import NotReadyError, open_named, require_same
from shipkeeper.operator.backups.standing import (
    Phase,
    as_begun,
    begun,
    failed,
    has_ended,
    is_in_job,
    left_until,
    made,
    selection_of,
    to_be_retried,
    waiting,
)
from shipkeeper.operator.backups.turns import Turns
from shipkeeper.operator.backups.visible import Taken, visible
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.pace import Pace, Rests
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import claim_status, hold, let_go, tell_event, write_status
from shipkeeper.operator.told import explained
from shipkeeper.store.documents import new_name
from shipkeeper.store.errors import BlobExistsError, ForgottenError, OutlivedError
from shipkeeper.store.repository import Repository

_KIND = BACKUP
_LOOK_AGAIN = timedelta(minutes=1)
# Progress is written no more often than this.
_GATHERING = timedelta(seconds=2)


class BackupReconciler:
    """Reconciles Backups; `ended` hears of the repository of each that ended."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        everything: Mapping[str, CustomObject],
        repositories: Mapping[str, CustomObject],
        ended: Callable[[str], None],
    ) -> None:
        self._scene = scene
        self._queue = queue
        self._everything = everything
        self._repositories = repositories
        self._ended = ended
        self._takes = Turns(queue.add, scene.heavy)
        self._forgets: Errands[bool] = Errands(queue.add)
        self._progress: dict[str, Progress] = {}
        self._waits: dict[str, str] = {}
        self._begun: dict[str, CustomObject] = {}
        self._pace = Pace(_GATHERING)
        self._rests = Rests(_LOOK_AGAIN)
        self._forget_rests = Rests(_LOOK_AGAIN)
        scene.measures.count(_KIND.kind, everything)

    async def stop(self) -> None:
        """Stop where it is: nothing of a backup that is cut short is visible."""
        await self._takes.stop()
        await self._forgets.stop()

    def look_again(self) -> None:
        """A repository is not as it was: what waited for it may be begun now."""
        self._rests.end()
        self._forget_rests.end()
        for key in self._everything:
            self._queue.add(key)

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Make a backup if that is not done yet; when to look again."""
        if found is None:
            self._drop(key)
            return None
        status = msgspec.json.decode(found.status, type=BackupStatus)
        if found.metadata.deletion_timestamp is not None:
            return await self._end(found, status)
        try:
            spec = as_begun(_KIND.read(found), status)
        except msgspec.DecodeError as error:
            refused = UsageError(str(error), reason="Malformed", hint="create another Backup")
            await self._fail(found, status, refused, is_nonsense=True)
            return None
        try:
            await self._hold(found, spec)
        except ForbiddenError as error:
            return await self._wait(found, status, error)
        if has_ended(status):
            self._drop(key)
            return None
        return await self._go_on(found, spec, status)

    async def _hold(self, found: CustomObject, spec: BackupSpec) -> None:
        """Only a backup that is to be forgotten with its object keeps it from going."""
        if spec.deletion_policy == "Delete":
            await hold(self._scene.writer, _KIND, found)
        else:
            await let_go(self._scene.writer, _KIND, found)

    async def _go_on(
        self, found: CustomObject, spec: BackupSpec, status: BackupStatus
    ) -> timedelta | None:
        now, generation = datetime.now(UTC), found.metadata.generation
        if not self._takes.is_under_way(found):
            if left := left_until(status.retry_at, now):
                return left
            if left := self._rests.left(found.uid, asyncio.get_running_loop().time()):
                return left
            if status.phase == "":
                status = waiting(status, generation, "Queued", "waits for its turn", now)
                await claim_status(self._scene.writer, _KIND, found, status)
                return None
        try:
            taken = self._takes.outcome(
                found,
                lambda: guarded(self._scene, self._take(found)),
                in_job=spec.is_in_job,
            )
        except (ConflictError, NotFoundError):
            raise  # The object is another by now: it is looked at again.
        except ShipkeeperError as error:
            found, status = self._latest(found, status)
            return await self._after_failure(found, spec, status, error)
        if taken is None:
            return await self._tell_progress(found, status)
        found, status = self._latest(found, status)
        ended = made(status, generation, taken.backup, taken.contents, now)
        await write_status(self._scene.writer, _KIND, found, ended)
        await self._say(found, ended.phase, ended.message)
        self._ended(spec.repository)
        return None

    async def _open(self, spec: BackupSpec, status: BackupStatus) -> Repository:
        """Its repository; NotReadyError, too, if another has its name now."""
        opened = await open_named(self._scene, self._repositories, spec.repository)
        id_ = status.begun_with.repository_id if status.begun_with else ""
        require_same(opened, id_, spec.repository)
        return opened

    async def _take(self, seen: CustomObject) -> Taken:
        """Make it, or find that it was made; NotReadyError if it cannot be begun."""
        newest = self._everything.get(seen.key)
        found = newest if newest is not None and newest.uid == seen.uid else seen
        status = msgspec.json.decode(found.status, type=BackupStatus)
        spec = as_begun(_KIND.read(found), status)
        opened = await self._open(spec, status)
        if status.id and (known := await visible(opened, status.id)):
            return known
        if is_in_job(status):
            # A leader before us began it: its Job goes on, or has ended meanwhile.
            return await self._await_job(opened, found, spec, status)
        if status.attempts > spec.retries:
            raise _GaveUpError(
                f"it was begun {status.attempts} times and never came to its end",
                reason="CutShort",
                hint="see why the operator's pods ended (memory?), then create another Backup",
            )
        id_ = status.id or new_name()
        asked = BegunWith(
            repository=spec.repository,
            repository_id=opened.id,
            objects=spec.objects,
            volumes=spec.volumes,
            job=spec.job,
        )
        status = begun(status, found.metadata.generation, id_, asked, datetime.now(UTC))
        if spec.is_in_job:
            request = self._request(found, spec, status)
            await require_may_make(self._scene, backup_job(request), BACKUP_JOBS)
            status = msgspec.structs.replace(status, job=request.name)
        self._begun[found.key] = await claim_status(self._scene.writer, _KIND, found, status)
        if spec.is_in_job:
            return await self._await_job(opened, found, spec, status)
        try:
            return await self._store(opened, found, id_, spec)
        except BlobExistsError:
            # A leader before us was not quite gone yet.
            if known := await visible(opened, id_):
                return known
            raise

    def _request(self, found: CustomObject, spec: BackupSpec, status: BackupStatus) -> JobRequest:
        named = self._repositories[spec.repository]
        return JobRequest(
            found=found,
            spec=spec,
            repository=BACKUP_REPOSITORY.read(named),
            namespace=self._scene.namespace,
            image=self._scene.image,
            id=status.id,
            attempt=status.attempts,
        )

    async def _await_job(
        self, opened: Repository, found: CustomObject, spec: BackupSpec, status: BackupStatus
    ) -> Taken:
        def tell(message: str) -> None:
            self._waits[found.uid] = message
            self._queue.add(found.key)

        request = self._request(found, spec, status)
        try:
            return await taken_in_job(self._scene, opened, request, tell)
        finally:
            self._waits.pop(found.uid, None)

    async def _store(
        self, opened: Repository, found: CustomObject, id_: str, spec: BackupSpec
    ) -> Taken:
        def tell(progress: Progress | VolumeProgress) -> None:
            if isinstance(progress, Progress):
                self._progress[found.uid] = progress
                self._queue.add_after(found.key, _GATHERING)

        # Volumes are listed, so that nobody believes them saved; only a Job reads their files.
        volumes = VolumeSaving(self._scene.connection, no_hosts, VolumeOptions())
        try:
            async with opened.writing(id_) as writer:
                backup, contents = await take(
                    self._scene.steady, writer, selection_of(spec.objects), tell, volumes
                )
        finally:
            self._progress.pop(found.uid, None)
            self._pace.forget(found.uid)
        return Taken(backup, contents)

    async def _after_failure(
        self, found: CustomObject, spec: BackupSpec, status: BackupStatus, error: ShipkeeperError
    ) -> timedelta | None:
        now, generation = datetime.now(UTC), found.metadata.generation
        is_over = isinstance(error, JobFailedError | ForgottenError)
        may_go_on = is_in_job(status) and not is_over
        if may_go_on or isinstance(error, NotReadyError):
            self._rests.begin(found.uid, asyncio.get_running_loop().time())
            return await self._wait(found, status, error)
        if isinstance(error, OutlivedError | ForgottenError):
            # No backup of that name will come any more: the next attempt has another.
            status = msgspec.structs.replace(status, id="")
        is_final = isinstance(error, UsageError | _GaveUpError | HopelessJobError)
        is_final = is_final or status.attempts > spec.retries
        if is_final:
            await self._fail(found, status, error)
            return None
        judged = to_be_retried(status, generation, error, now)
        await write_status(self._scene.writer, _KIND, found, judged)
        await self._say(found, error.reason, judged.message, is_warning=True)
        return judged.retry_at - now if judged.retry_at else _LOOK_AGAIN

    async def _wait(
        self, found: CustomObject, status: BackupStatus, error: ShipkeeperError
    ) -> timedelta:
        """It cannot be begun, or its Job not be looked at, as things are, which may change."""
        generation, now = found.metadata.generation, datetime.now(UTC)
        judged = waiting(status, generation, error.reason, explained(error), now)
        if is_in_job(status):
            # Its Job may go on, and another attempt would be a second one beside it.
            judged = msgspec.structs.replace(status, message=explained(error))
        elif has_ended(status):
            # What it came to stays; what is asked for since cannot be heeded, which is told once.
            judged = msgspec.structs.replace(status, observed_generation=generation)
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self._say(found, error.reason, error.message, is_warning=True)
        return _LOOK_AGAIN

    def _latest(
        self, found: CustomObject, status: BackupStatus
    ) -> tuple[CustomObject, BackupStatus]:
        """The object as its attempt was begun, if the watch did not bring that yet."""
        known = self._begun.get(found.key)
        if known is None or known.uid != found.uid:
            return found, status
        begun_status = msgspec.json.decode(known.status, type=BackupStatus)
        return (known, begun_status) if begun_status.attempts > status.attempts else (found, status)

    async def _fail(
        self,
        found: CustomObject,
        status: BackupStatus,
        error: ShipkeeperError,
        *,
        is_nonsense: bool = False,
    ) -> None:
        now = datetime.now(UTC)
        judged = failed(status, found.metadata.generation, error, now, is_nonsense=is_nonsense)
        if has_ended(status) and judged.message == status.message:
            return
        if await write_status(self._scene.writer, _KIND, found, judged):
            await self._say(found, error.reason, judged.message, is_warning=True)

    async def _tell_progress(self, found: CustomObject, status: BackupStatus) -> timedelta | None:
        if status.phase != Phase.RUNNING:
            return None
        progress, waits = self._progress.get(found.uid), self._waits.get(found.uid)
        if progress is None:
            if waits is not None:
                told = msgspec.structs.replace(status, message=waits)
                await write_status(self._scene.writer, _KIND, found, told)
            return None
        # Each write comes back by the watch, and would be followed by the next at once.
        if left := self._pace.begin(found.uid, asyncio.get_running_loop().time()):
            return left
        now = msgspec.structs.replace(
            status,
            objects=progress.objects,
            message=f"{progress.objects} of about {progress.of_objects} objects",
        )
        await write_status(self._scene.writer, _KIND, found, now)
        return None

    async def _end(self, found: CustomObject, status: BackupStatus) -> timedelta | None:
        """The object is deleted: stop, forget the stored backup if that is wished, let it go."""
        self._takes.drop(found.key)
        try:
            spec = as_begun(_KIND.read(found), status)
        except msgspec.DecodeError:
            spec = None
        if spec is not None and spec.deletion_policy == "Delete" and status.id:
            loop = asyncio.get_running_loop()
            if left := self._forget_rests.left(found.uid, loop.time()):
                return left
            try:
                done = self._forgets.outcome(
                    found, lambda: guarded(self._scene, self._forget(spec, status))
                )
            except ShipkeeperError as error:
                self._forget_rests.begin(found.uid, loop.time())
                message = (
                    f"the stored backup cannot be forgotten: {explained(error)}; to keep it and "
                    "let this object go, set spec.deletionPolicy to Retain"
                )
                told = msgspec.structs.replace(status, message=message)
                if await write_status(self._scene.writer, _KIND, found, told):
                    await self._say(found, error.reason, message, is_warning=True)
                return _LOOK_AGAIN
            if done is None:
                return None
        else:
            # It may have been wished until now: nothing is forgotten once the object is gone.
            await self._forgets.halt(found.key)
        await let_go(self._scene.writer, _KIND, found)
        if spec is not None:
            self._ended(spec.repository)
        return None

    async def _forget(self, spec: BackupSpec, status: BackupStatus) -> bool:
        opened = await self._open(spec, status)
        # Whether it is visible or not: a leader before us may be about to make it so.
        await opened.renounce(status.id)
        return True

    def _drop(self, key: str) -> None:
        self._takes.drop(key)
        self._forgets.drop(key)
        self._begun.pop(key, None)

    async def _say(
        self, found: CustomObject, reason: str, message: str, *, is_warning: bool = False
    ) -> None:
        self._scene.say(f"Backup {found.name}: {reason}: {message}")
        writer = self._scene.writer
        await tell_event(writer, _KIND, found, reason, message, is_warning=is_warning)


class _GaveUpError(ShipkeeperError):
    """It is not begun again."""
