"""One run of a Restore while this process carries it out, or takes it back."""

import asyncio
from collections.abc import Callable, Mapping

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.restore import carry_out, take_back
from shipkeeper.backup.restore_plan import PROCEDURE
from shipkeeper.backup.volumes.saving import OpenHosts
from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.lock import cluster_lock
from shipkeeper.engine.progress import Event, Note
from shipkeeper.engine.session import Session
from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.opening import Reading, open_named, require_same
from shipkeeper.operator.footing import Both
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.scene import Scene


class RestoreDriver:
    """Carries one run out beside the reconcilers; `changed` is called whenever that shows.

    `open_hosts` is the way to the nodes on which volumes are.
    With `is_given_up` it takes the run back instead: webhooks are put back, and what was made
    stays. `error` is why it ended before the run did.
    """

    def __init__(
        self,
        scene: Scene,
        ledger: ClusterLedger,
        repositories: Mapping[str, CustomObject],
        repository: str,
        changed: Callable[[], None],
        *,
        open_hosts: OpenHosts | None,
        is_given_up: bool,
    ) -> None:
        self.ledger = ledger
        self.is_given_up = is_given_up
        self.error: ShipkeeperError | None = None
        self._scene = scene
        self._repositories = repositories
        self._repository = repository
        self._changed = changed
        self._open_hosts = open_hosts
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._drive(), name=f"drive {self.ledger.record.id}")
        self._task.add_done_callback(lambda _: self._changed())

    @property
    def is_over(self) -> bool:
        """Whether it does nothing more."""
        return self._task is not None and self._task.done()

    @property
    def has_ended(self) -> bool:
        """Whether the run came to its end, and not only we."""
        return self.ledger.record.outcome not in (None, Outcome.INTERRUPTED, Outcome.ABORTING)

    async def stop(self) -> None:
        """Stop where it is; what was begun is on record."""
        if self._task is not None:
            self._task.cancel()
            # Who is cancelled meanwhile stays so: a worker that went on would hold up the end.
            await asyncio.gather(self._task, return_exceptions=True)

    async def _drive(self) -> None:
        try:
            await guarded(self._scene, self._hold_lock())
        except ShipkeeperError as error:
            self.error = error
        finally:
            self._scene.driven.discard(self.ledger.record.id)

    async def _hold_lock(self) -> None:
        scene, run = self._scene, self.ledger.record
        # Before the lock is ours: whoever reads it the moment after must know that we live.
        scene.driven.add(run.id)
        async with cluster_lock(
            scene.reader,
            scene.writer,
            scene.holder(run.id),
            is_gone=self._is_gone,
            tell=self._tell,
            times=scene.times,
        ) as tenure:
            session = Session(
                run=run,
                tenure=Both(scene.footing, tenure),
                directory=scene.directory,
                is_resumed=True,
            )
            if self.is_given_up:
                await take_back(scene.connection, self.ledger, session, self._tell)
                return
            opened = await open_named(scene, self._repositories, self._repository, Reading.NEEDED)
            require_same(opened, str(run.plan.request["repository"]), self._repository)
            archive = await open_archive(opened, str(run.plan.request["backup"]))
            await carry_out(
                scene.connection,
                archive,
                self.ledger,
                session,
                self._tell,
                lambda _: None,
                self._open_hosts,
            )

    def _is_gone(self, holder: str) -> bool:
        """Of a leader before us, only a restore: others go on by themselves, with their lock."""
        if holder == self._scene.holder(self.ledger.record.id):
            return True  # an attempt of ours that is over
        return holder.startswith(f"run {PROCEDURE}-") and self._scene.is_gone(holder)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Note):
            self._scene.say(f"{self.ledger.record.id}: {event.message}")
        self._changed()
