"""Whether the cluster went back behind a run: its etcd restored to a state from before it.

The journal is on this machine and does not go back along, so that it would hold steps as done that
never happened in the cluster as it is now. What each run saw last of the cluster's Lease is kept
beside it: nobody but runs renews that Lease, and a restore, also one with bumped revisions, brings
an older one back, or none.
"""

import asyncio
from contextlib import suppress

from shipkeeper.engine.journal import Journal, JournalError, RunRecord
from shipkeeper.errors import BlockedError
from shipkeeper.kube.reflector import is_older
from shipkeeper.model.lease import Lease

_WENT_BACK = "etcd was restored to a state from before this run's last steps"
_UNSURE = (
    "the cluster's Lease is another than the one it held: that was deleted, or etcd was restored "
    "to a state from before it"
)


class History:
    """What a run knows of its cluster's history; the witness of its lock."""

    def __init__(self, journal: Journal, run: RunRecord) -> None:
        self._journal = journal
        self._run = run

    def found(self, lease: Lease) -> None:
        """Note of every run in this cluster whether it had seen a later Lease than this one.

        All at once, for whoever takes the Lease makes it look younger.
        """
        with self._journal.transaction() as database:
            rows = database.execute(
                "select run, lease, revision from marks where cluster = ?", (self._run.cluster,)
            ).fetchall()
            broken = [
                (why, run)
                for run, uid, revision in rows
                if (why := _break(lease, uid=uid, revision=revision))
            ]
            database.executemany(
                "update marks set broken = ? where run = ? and broken = ''", broken
            )

    async def kept(self, lease: Lease) -> None:
        """Note the Lease as this run saw it last."""
        await asyncio.to_thread(self._keep, lease)

    def _keep(self, lease: Lease) -> None:
        # A journal that takes no note takes no step either, and says so then.
        with suppress(JournalError), self._journal.transaction() as database:
            database.execute(
                "insert into marks (run, cluster, lease, revision) values (?, ?, ?, ?) on conflict "
                "(run) do update set lease = excluded.lease, revision = excluded.revision",
                (self._run.id, self._run.cluster, lease.uid, lease.metadata.resource_version),
            )

    def require_unbroken(self) -> None:
        """BlockedError if the cluster is no longer the one that this run's journal tells of."""
        with self._journal.transaction() as database:
            row = database.execute(
                "select broken from marks where run = ?", (self._run.id,)
            ).fetchone()
        if row is not None and row[0]:
            raise BlockedError(
                f"run {self._run.id} cannot go on: {row[0]}; what its journal holds as done may be "
                "undone",
                reason="WentBack",
                hint="look at what it worked on, give it up with: shipkeeper abort "
                f"{self._run.id}; then run the same command again, which plans from how things are",
            )


def _break(lease: Lease, *, uid: str, revision: str) -> str:
    """Why a run that saw this Lease last cannot trust what it knows; empty if it can."""
    if is_older(lease.metadata.resource_version, revision):
        return _WENT_BACK
    return _UNSURE if lease.uid != uid else ""
