"""Runs on hosts that take the API server away, and with it the cluster's lock.

Nobody can be asked which cluster it is: such a run belongs to its hosts. While it goes on nobody
else on this machine works on one of them.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from shipkeeper.engine.action import Action
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import RunStarted, Sink
from shipkeeper.engine.run import Run, RunResult
from shipkeeper.engine.session import local_lock, new_run, require_resumable, run_directory
from shipkeeper.errors import LockHeldError

# What the steps of a plan are done by; files of the run may be kept in a folder.
ActionsOf = Callable[[Plan, Path, Sink], Mapping[str, Action]]


def last_run_at(journal: Journal, procedure: str, server: str) -> RunRecord | None:
    """The last run of a procedure on the cluster at a URL, which its outlook tells as `server`.

    For when the cluster cannot be asked for its hosts, since that run took its API server away.
    """
    for record in journal.runs():
        if record.procedure == procedure and record.plan.outlook.get("server") == server:
            return record
    return None


class HostRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one procedure on the same hosts, which are named by their addresses."""

    journal: Journal
    procedure: str
    hosts: frozenset[str]
    actions_of: ActionsOf

    def newest(self) -> RunRecord | None:
        """The last of them, however it ended."""
        return next(iter(self.journal.runs(cluster=self._cluster)), None)

    def under_way(self) -> RunRecord | None:
        """The last of them, if it did not come to its end."""
        found = self.newest()
        return found if found is not None and found.is_unfinished else None

    async def execute(self, plan: Plan, found: RunRecord | None, tell: Sink) -> RunResult:
        """Run a plan, or go on with the run that was found under way.

        BlockedError if that one is half given up, LockHeldError if somebody works on a host.
        """
        if found is not None:
            require_resumable(found)
        with self._driven(plan, found, tell) as run:
            return await run.execute()

    async def abort(self, record: RunRecord, tell: Sink) -> None:
        """Put back on every host what was there before a run."""
        with self._driven(record.plan, record, tell) as run:
            await run.abort()

    @contextmanager
    def _driven(self, plan: Plan, found: RunRecord | None, tell: Sink) -> Generator[Run]:
        run = found or new_run(plan, self._cluster)
        directory = run_directory(self.journal, run.id)
        with self._hosts_locked(), local_lock(directory, f"run {run.id} is driven"):
            self._require_unchanged(found)
            if found is None:
                self.journal.begin(run)
            tell(RunStarted(run.id, run.plan, resumed=found is not None))
            actions = self.actions_of(run.plan, directory, tell)
            yield Run(run.id, run.plan, actions, self.journal, tell)

    @contextmanager
    def _hosts_locked(self) -> Generator[None]:
        root = self.journal.path.parent / "hosts"
        with ExitStack() as stack:
            for host in sorted(self.hosts):
                # Of an address not every character may be one of a file's name.
                name = hashlib.sha256(host.encode()).hexdigest()[:16]
                stack.enter_context(local_lock(root / name, f"host {host} is worked on"))
            yield

    def _require_unchanged(self, found: RunRecord | None) -> None:
        """LockHeldError if somebody else was here since the hosts were looked at."""
        now = self.under_way() if found is None else self.journal.run(found.id)
        before = None if found is None else found.outcome
        if now is not None and (found is None or now.outcome != before):
            raise LockHeldError(
                f"run {now.id} went on by another process meanwhile",
                reason="RunChanged",
                hint="see what became of it with: shipkeeper runs; then run the same command again",
            )

    @property
    def _cluster(self) -> str:
        return f"{self.procedure}:{','.join(sorted(self.hosts))}"
