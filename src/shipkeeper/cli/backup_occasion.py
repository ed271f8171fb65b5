"""What is done at each time of a schedule, and how it is told."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.backup import take as taking
from shipkeeper.backup.keep_report import prune_report
from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.report import backup_row, contents_report
from shipkeeper.backup.scheduling import Made, Notice
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.saving import OpenHosts, VolumeOptions, VolumeSaving
from shipkeeper.cli.backup_keep import require_whole, thin_out, verify_and_remember
from shipkeeper.cli.backup_progress import progress_line
from shipkeeper.cli.backup_take import incompleteness
from shipkeeper.cli.output import say, show
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.store import retention

_BETWEEN = "between backups"


class WallClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        """Wait; a machine's sleep does not count."""
        await asyncio.sleep(duration.total_seconds())


class Told:
    """Says notices: in words on a terminal, as lines of JSON elsewhere."""

    def __call__(self, notice: Notice) -> None:
        """Say one."""
        now = datetime.now(UTC)
        if not sys.stderr.isatty():
            line = {"time": now, **msgspec.to_builtins(notice)}
            say(msgspec.json.encode(line).decode())
            return
        say(f"{now:%F %T}Z {notice.message}")
        if notice.hint:
            say(f"  hint: {notice.hint}")


class Occasion:
    """One time's work, each with connections of its own: tokens and keys change meanwhile.

    `stage` says in words what it is at.
    """

    def __init__(
        self,
        cluster: ConnectionOptions,
        place: Place,
        selection: Selection,
        volumes: VolumeOptions,
        open_hosts: OpenHosts,
        policy: retention.Policy | None,
        grace: timedelta,
        output: str | None,
        *,
        once: bool,
    ) -> None:
        self._cluster = cluster
        self._place = place
        self._selection = selection
        self._volumes = volumes
        self._open_hosts = open_hosts
        self._policy = policy
        self._grace = grace
        self._output = output
        self._shows = once or output is not None
        self.stage = _BETWEEN

    async def back_up(self) -> Made:
        """Make a backup, and show it."""
        with self._at("during a backup"):
            async with (
                connect(self._cluster) as connection,
                open_repository(self._place) as opened,
                opened.writing() as writer,
            ):
                saving = VolumeSaving(connection, self._open_hosts, self._volumes)
                with progress_line() as progress:
                    made, contents = await taking.take(
                        connection, writer, self._selection, progress, saving
                    )
            if self._shows:
                row = backup_row(made, contents, saving.records)
                show(contents_report(row, datetime.now(UTC)), self._output)
        return Made(
            name=made.name,
            objects=contents.objects,
            added_bytes=made.figures.added_bytes if made.figures else 0,
            incomplete=incompleteness(contents, saving.records),
        )

    async def prune(self) -> None:
        """Forget what no --keep flag keeps."""
        if self._policy is None:
            return
        with self._at("while pruning"):
            async with open_repository(self._place) as opened:
                retained = retention.plan(await opened.backups(), self._policy)
                pruned = await thin_out(opened, retained, self._grace)
            if self._shows and self._output is None:
                show(prune_report(retained, pruned, datetime.now(UTC)), None)

    async def verify(self) -> None:
        """Read everything."""
        with self._at("while verifying"):
            require_whole(await verify_and_remember(self._place))

    @contextmanager
    def _at(self, stage: str) -> Generator[None]:
        """A failure ends the stage; whoever interrupts it is told which it was."""
        self.stage = stage
        try:
            yield
        except ShipkeeperError:
            self.stage = _BETWEEN
            raise
        self.stage = _BETWEEN
