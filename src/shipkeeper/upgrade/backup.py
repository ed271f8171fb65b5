"""Before an upgrade changes anything: a backup of every resource, read back and checked."""

from pathlib import Path

from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.take import take
from shipkeeper.engine.action import SelfEvident, StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.errors import IncompleteError, ShipkeeperError
from shipkeeper.kube.reader import Reader
from shipkeeper.model.words import counted
from shipkeeper.store.verify import names_of, verify_added
from shipkeeper.upgrade.options import BackupInto

_GO_WITHOUT = "or go without it with --no-backup"


def into(place: Place) -> BackupInto:
    """Where to back up to, from whichever folder the run is gone on with."""
    url = place.url if "://" in place.url else str(Path(place.url).absolute())
    key = str(Path(place.key).absolute()) if place.key else ""
    return BackupInto(url=url, endpoint=place.endpoint, key=key)


class Backup(SelfEvident):
    """Back every resource up into the repository that was named."""

    def __init__(self, reader: Reader, into: BackupInto | None, tell: Sink) -> None:
        self._reader = reader
        self._into = into
        self._tell = tell

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Take it, whole; IncompleteError if something could not be read or is not as written."""
        if self._into is None:
            raise AssertionError("no backup is planned without a repository")
        place = Place(url=self._into.url, endpoint=self._into.endpoint, key=self._into.key)
        try:
            name, objects = await self._take(place)
        except ShipkeeperError as error:
            raise type(error)(
                f"resources cannot be backed up: {error.message}",
                reason=error.reason,
                hint=f"{error.hint or 'mend that, then run the same command again'}; {_GO_WITHOUT}",
            ) from error
        told = f"{name} in {place.url}"
        await record.write(Phase.BEFORE, saved=told)
        self._tell(Note(f"{counted(objects, 'object')} are backed up as {told}"))

    async def _take(self, place: Place) -> tuple[str, int]:
        async with open_repository(place) as opened:
            before = await names_of(opened)
            async with opened.writing() as writer:
                made, contents = await take(
                    self._reader.connection, writer, Selection(), lambda progress: None
                )
            missing = [each.what for each in contents.unreadable]
            missing += [each.kind.name for each in contents.scattered]
            damaged = await verify_added(opened, before)
        if missing:
            raise IncompleteError(
                f"backup {made.name} lacks {', '.join(missing[:5])}", reason="BackupIncomplete"
            )
        if damaged:
            raise IncompleteError(
                f"{damaged[0].blob}: {damaged[0].message}", reason=damaged[0].reason
            )
        return made.name, contents.objects
