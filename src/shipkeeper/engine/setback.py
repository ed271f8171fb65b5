"""Whether the cluster went back behind a run: its etcd restored to a state from before it.

The journal is on this machine and does not go back along, so that it would hold steps as done that
never happened in the cluster as it is now. What each run saw last of the cluster's Lease is kept
beside it: nobody but runs renews that Lease, and a restore, also one with bumped revisions, brings
an older one back, or none.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from shipkeeper.engine.journal import Journal, JournalError, RunRecord
from shipkeeper.engine.witness import Mark
from shipkeeper.errors import BlockedError
from shipkeeper.kube.reflector import is_older
from shipkeeper.model.lease import Lease

_WENT_BACK = "etcd was restored to a state from before this run's last steps"
_UNSURE = (
    "the cluster's Lease is another than the one it held: that was deleted, or etcd was restored "
    "to a state from before it"
)


class History:
    """What a run knows of its cluster's history; the witness of its lock.

    `server` is the URL at which it finds the cluster.
    """

    def __init__(self, journal: Journal, run: RunRecord, server: str) -> None:
        self._journal = journal
        self._run = run
        self._server = server

    def marks(self) -> Sequence[Mark]:
        """What the runs of this journal saw last, but those that went back already."""
        with self._journal.transaction() as database:
            rows = database.execute(
                "select run, server, lease, revision, transitions, acquired from lease_marks "
                "where broken = ''"
            ).fetchall()
        return [Mark(*row) for row in rows]

    def found(self, lease: Lease, marks: Sequence[Mark]) -> None:
        """Note of every run with this Lease whether it had seen a later one.

        All at once, for whoever takes the Lease makes it look younger.
        """
        broken = [(why, mark.run) for mark in marks if (why := self._break(lease, mark))]
        with self._journal.transaction() as database:
            database.executemany(
                "update lease_marks set broken = ? where run = ? and broken = ''", broken
            )

    def _break(self, lease: Lease, mark: Mark) -> str:
        """Why the run of a mark cannot trust what it knows; empty if it can, as far as is known.

        Of others only what is certain: another Lease may be that of another cluster, and an older
        one at another URL that of a clone, in which somebody tries a restore.
        """
        if mark.run == self._run.id:
            return _WENT_BACK if _is_from_before(lease, mark) else _unsure(lease, mark)
        is_same = (lease.uid, self._server) == (mark.lease, mark.server)
        return _WENT_BACK if is_same and _is_from_before(lease, mark) else ""

    async def kept(self, lease: Lease) -> None:
        """Note the Lease as this run saw it last."""
        await asyncio.to_thread(self._keep, lease)

    def _keep(self, lease: Lease) -> None:
        # A journal that takes no note takes no step either, and says so then.
        with suppress(JournalError), self._journal.transaction() as database:
            database.execute(
                "insert into lease_marks (run, server, lease, revision, transitions, acquired) "
                "values (?, ?, ?, ?, ?, ?) on conflict (run) do update "
                "set server = excluded.server, lease = excluded.lease, "
                "revision = excluded.revision, transitions = excluded.transitions, "
                "acquired = excluded.acquired",
                msgspec.structs.astuple(self._mark_of(lease)),
            )

    def _mark_of(self, lease: Lease) -> Mark:
        return Mark(
            self._run.id,
            self._server,
            lease.uid,
            lease.metadata.resource_version,
            lease.spec.lease_transitions or 0,
            _acquired(lease),
        )

    def require_unbroken(self) -> None:
        """BlockedError if the cluster is no longer the one that this run's journal tells of."""
        with self._journal.transaction() as database:
            row = database.execute(
                "select broken from lease_marks where run = ?", (self._run.id,)
            ).fetchone()
        if row is not None and row[0]:
            raise BlockedError(
                f"run {self._run.id} cannot go on: {row[0]}; what its journal holds as done may be "
                "undone",
                reason="WentBack",
                hint="look at what it worked on, give it up with: shipkeeper abort "
                f"{self._run.id}; then run the same command again, which plans from how things are",
            )


def _is_from_before(lease: Lease, mark: Mark) -> bool:
    """Whether a Lease comes from before what a mark saw, though it may have been taken since.

    Each taking counts one up: what comes from before the mark's was not counted as far, or to the
    same number by somebody else.
    """
    if is_older(lease.metadata.resource_version, mark.revision):
        return True
    if lease.uid != mark.lease:
        return False
    taken = lease.spec.lease_transitions or 0
    is_anothers = bool(_acquired(lease)) and _acquired(lease) != mark.acquired
    return taken < mark.transitions or (taken == mark.transitions and is_anothers)


def _unsure(lease: Lease, mark: Mark) -> str:
    return _UNSURE if lease.uid != mark.lease else ""


def _acquired(lease: Lease) -> str:
    acquired = lease.spec.acquire_time
    return acquired.isoformat() if acquired else ""
