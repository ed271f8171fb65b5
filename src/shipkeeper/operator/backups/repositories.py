"""Reconciling BackupRepositories: whether each can be reached, and what it holds."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.backup.contents import decode_contents
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.operator.api.backups import (
    BACKUP_REPOSITORY,
    BackupRepositoryStatus,
    NewestBackup,
)
from shipkeeper.operator.api.conditions import settled
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.opening import Reading, open_repository
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import tell_event, write_status
from shipkeeper.operator.told import accepted, condition, explained, whole
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup

_KIND = BACKUP_REPOSITORY
REACHABLE = "shipkeeper_backup_repository_reachable"
_LOOK_AGAIN = timedelta(minutes=10)
_AFTER_FAILURE = timedelta(minutes=1)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look into a repository found, of a spec of a generation."""

    generation: int
    id: str
    format: int
    recipients: tuple[str, ...]
    backups: int
    newest: NewestBackup | None


class RepositoryReconciler:
    """Reconciles BackupRepositories; `changed` is called when one of them may be of use again."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        everything: Mapping[str, CustomObject],
        changed: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._queue = queue
        self._everything = everything
        self._changed = changed
        self._looks: Errands[Look] = Errands(queue.add)
        self._wanted: set[str] = set()

    async def stop(self) -> None:
        """Stop looking."""
        await self._looks.stop()

    def look_again(self, name: str) -> None:
        """It is not as it was: look at it soon, whenever that was done last."""
        self._wanted.add(name)
        self._queue.add(name)

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look if it is time; when to look again."""
        gauges = self._scene.measures.gauges.setdefault(REACHABLE, {})
        self._scene.identities.keep(_identity_secrets(self._everything.values()))
        if found is None or found.metadata.deletion_timestamp is not None:
            self._looks.drop(key)
            gauges.pop(key, None)
            return None
        before = msgspec.json.decode(found.status, type=BackupRepositoryStatus)
        now = datetime.now(UTC)
        is_idle = key not in self._wanted and not self._looks.is_under_way(found)
        if is_idle and (rest := _rest(found, before, now)):
            gauges[key] = float(before.phase == "Ready")
            return rest
        try:
            look = self._looks.outcome(found, lambda: guarded(self._scene, self._look(found)))
        except ShipkeeperError as error:
            status = failed(before, found.metadata.generation, error, now)
            again = _AFTER_FAILURE
        else:
            if look is None or look.generation != found.metadata.generation:
                return timedelta(0) if look else None
            status, again = looked(before, look, now), _LOOK_AGAIN
        gauges[key] = float(status.phase == "Ready")
        await self._tell(found, before, status)
        return again

    async def _look(self, found: CustomObject) -> Look:
        self._wanted.discard(found.key)
        try:
            spec = _KIND.read(found)
        except msgspec.DecodeError as error:
            raise UsageError(str(error), reason="Malformed", hint="mend spec") from error
        return await _look_into(await open_repository(self._scene, spec, Reading.IF_NAMED), found)

    async def _tell(
        self, found: CustomObject, before: BackupRepositoryStatus, status: BackupRepositoryStatus
    ) -> None:
        writer = self._scene.writer
        await write_status(writer, _KIND, found, status)
        if status.phase == before.phase and status.message == before.message:
            return
        self._changed()
        self._scene.say(f"BackupRepository {found.name}: {status.phase}: {status.message}")
        is_bad = status.phase == "Failed"
        await tell_event(writer, _KIND, found, status.phase, status.message, is_warning=is_bad)


def _identity_secrets(repositories: Iterable[CustomObject]) -> set[str]:
    """The names of the Secrets that hold the repositories' identities."""
    found: set[str] = set()
    for each in repositories:
        with suppress(msgspec.DecodeError):
            secret = _KIND.read(each).identity_secret
            if secret is not None:
                found.add(secret.name)
    return found


async def _look_into(opened: Repository, found: CustomObject) -> Look:
    backups = [each for each in await opened.backups() if not each.kind]
    return Look(
        generation=found.metadata.generation,
        id=opened.id,
        format=opened.access.config.format,
        recipients=opened.access.config.recipients,
        backups=len(backups),
        newest=_newest(backups[-1]) if backups else None,
    )


def _newest(backup: Backup) -> NewestBackup:
    is_complete = not backup.damaged and decode_contents(backup.summary, backup.name).is_complete
    return NewestBackup(id=backup.name, created_at=whole(backup.created), complete=is_complete)


def _rest(found: CustomObject, before: BackupRepositoryStatus, now: datetime) -> timedelta | None:
    """How long what is known of it is good; None if it is to be looked at now."""
    is_known = before.observed_generation == found.metadata.generation
    if not is_known or before.checked_at is None or before.checked_at > now:
        return None
    pause = _LOOK_AGAIN if before.phase == "Ready" else _AFTER_FAILURE
    left = before.checked_at + pause - now
    return left if left > timedelta(0) else None


def looked(before: BackupRepositoryStatus, look: Look, now: datetime) -> BackupRepositoryStatus:
    """The status after a look. Pure."""
    conditions = (accepted(), condition("Reachable", True, "Reachable"))
    return BackupRepositoryStatus(
        observed_generation=look.generation,
        phase="Ready",
        message="it can be opened",
        id=look.id,
        format=look.format,
        recipients=look.recipients,
        backups=look.backups,
        newest=look.newest,
        checked_at=whole(now),
        conditions=settled(before.conditions, conditions, look.generation, now),
    )


def failed(
    before: BackupRepositoryStatus, generation: int, error: ShipkeeperError, now: datetime
) -> BackupRepositoryStatus:
    """The status when it cannot be opened; what it held at the last look stays. Pure."""
    is_nonsense = error.reason == "Malformed"
    message = explained(error)
    first = condition("Accepted", False, error.reason, message) if is_nonsense else accepted()
    reachable = condition("Reachable", "Unknown" if is_nonsense else False, error.reason, message)
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase="Failed",
        message=message,
        checked_at=whole(now),
        conditions=settled(before.conditions, (first, reachable), generation, now),
    )
