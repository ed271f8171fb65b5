"""The journal: what was asked for, what was begun and what was done, durable in local SQLite.

Each entry is on disk before `write` returns (WAL, synchronous=FULL), so that a run that was killed
at any point knows what it had begun. Entries written at the same moment share one commit.
"""

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.review import Revision
from shipkeeper.errors import ShipkeeperError

# What entries are about that tell of the plan itself: no step has this id.
PLAN = "plan"
_SCHEMA_VERSION = 1
_SCHEMA = """
create table if not exists runs (
    id text primary key, procedure text not null, cluster text not null, request text not null,
    plan text not null, started_at text not null, finished_at text, outcome text, revised text,
    person text, door text
);
create table if not exists entries (
    sequence integer primary key autoincrement, run text not null references runs (id),
    step text not null, item text not null, phase text not null, detail text not null,
    written_at text not null
);
create table if not exists lease_marks (
    run text primary key, server text not null, lease text not null, revision text not null,
    transitions integer not null, acquired text not null,
    broken text not null default ''
);
create index if not exists entries_of_run on entries (run, sequence);
"""


# What journals of older versions lack; those versions do not mind that it is there.
_ADDED = ("person", "door")


class JournalError(ShipkeeperError):
    """The journal cannot be read or written; nothing is done that it does not hold."""


class Phase(StrEnum):
    """Where a step or an item stands."""

    BEFORE = "Before"
    AFTER = "After"
    FAILED = "Failed"
    UNDONE = "Undone"


class Outcome(StrEnum):
    """How a run ended; an interrupted one can be resumed, one being aborted only aborted."""

    SUCCEEDED = "Succeeded"
    INCOMPLETE = "Incomplete"
    FAILED = "Failed"
    BLOCKED = "Blocked"
    INTERRUPTED = "Interrupted"
    ABORTING = "Aborting"
    ABORTED = "Aborted"


UNFINISHED = frozenset({None, Outcome.INTERRUPTED, Outcome.ABORTING})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a run: a phase of a step (empty item), or of one of its items."""

    run: str
    step: str
    phase: Phase
    item: str = ""
    detail: dict[str, Any] = {}
    written_at: datetime | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run as the journal keeps it; `outcome` is None while it runs, or if it was killed.

    `plan` is what it goes by now, `revised_from` what it began with if that was another. `person`
    is who began it, and `door` by what: cli, console.
    """

    id: str
    procedure: str
    cluster: str
    plan: Plan
    started_at: datetime
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    revised_from: Plan | None = None
    person: str = ""
    door: str = ""

    @property
    def began_with(self) -> Plan:
        """The plan that was shown when the run began."""
        return self.revised_from or self.plan

    @property
    def is_unfinished(self) -> bool:
        """Whether it did not come to its end: it can be resumed, or at least aborted."""
        return self.outcome in UNFINISHED


class RunHead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run without its plan."""

    id: str
    procedure: str
    cluster: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None
    person: str
    door: str


class Journal:
    """The runs of this user on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[tuple[Entry, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._using = threading.Lock()
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            # Commits happen in a worker thread; `_using` keeps them apart.
            database = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = full")
            self._require_known_schema(database)
            database.executescript(_SCHEMA)
            self._add_columns(database)
            database.execute(f"pragma user_version = {_SCHEMA_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error
        return database

    def _require_known_schema(self, database: sqlite3.Connection) -> None:
        if database.execute("pragma user_version").fetchone()[0] > _SCHEMA_VERSION:
            raise JournalError(
                f"the journal {self.path} was written by a newer shipkeeper",
                reason="JournalTooNew",
                hint="use that version, or set XDG_STATE_HOME to begin another journal",
            )

    def _add_columns(self, database: sqlite3.Connection) -> None:
        known = {row[1] for row in database.execute("pragma table_info(runs)")}
        for name in _ADDED:
            if name not in known:
                # Another process may be adding it at this moment.
                with suppress(sqlite3.OperationalError):
                    database.execute(f"alter table runs add column {name} text")

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Read or change all or nothing; JournalError if that fails."""
        try:
            with self._using, self._database:
                yield self._database
        except sqlite3.Error as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Let go of the file; what was written stays."""
        with self._using:
            self._database.close()

    def begin(self, run: RunRecord) -> None:
        """Write a run down before its first step."""
        with self.transaction() as database:
            database.execute(
                "insert into runs "
                "(id, procedure, cluster, request, plan, started_at, person, door) "
                "values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.procedure,
                    run.cluster,
                    _canonical(run.plan.request),
                    msgspec.json.encode(run.plan).decode(),
                    run.started_at.isoformat(),
                    run.person,
                    run.door,
                ),
            )

    async def revise(self, run: str, revision: Revision) -> None:
        """Write down that a run goes on by another plan, and what changed."""
        with self.transaction() as database:
            database.execute(
                "update runs set revised = ? where id = ?",
                (msgspec.json.encode(revision.plan).decode(), run),
            )
            database.execute(
                "insert into entries (run, step, item, phase, detail, written_at) "
                "values (?, ?, '', ?, ?, ?)",
                (
                    run,
                    PLAN,
                    Phase.AFTER,
                    json.dumps({"changes": revision.changes}),
                    datetime.now(UTC).isoformat(),
                ),
            )

    async def finish(self, run: str, outcome: Outcome) -> None:
        """Write down how a run ended."""
        with self.transaction() as database:
            database.execute(
                "update runs set finished_at = ?, outcome = ? where id = ?",
                (datetime.now(UTC).isoformat(), outcome, run),
            )

    async def write(self, entry: Entry) -> None:
        """Append an entry; it is on disk when this returns. Raises JournalError."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((entry, written))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(written)

    async def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            error = await asyncio.to_thread(self._commit, [entry for entry, _ in batch])
            for _, written in batch:
                if written.done():
                    continue
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)

    def _commit(self, entries: list[Entry]) -> JournalError | None:
        now = datetime.now(UTC).isoformat()
        rows = [
            (each.run, each.step, each.item, each.phase, json.dumps(each.detail), now)
            for each in entries
        ]
        try:
            with self.transaction() as database:
                database.executemany(
                    "insert into entries (run, step, item, phase, detail, written_at) "
                    "values (?, ?, ?, ?, ?, ?)",
                    rows,
                )
        except JournalError as error:
            return error
        return None

    def runs(self, *, cluster: str = "") -> list[RunRecord]:
        """All runs, newest first, of one cluster or of all."""
        with self.transaction() as database:
            rows = database.execute(
                "select id, procedure, cluster, plan, started_at, finished_at, outcome, revised, "
                "person, door from runs "
                "where ? in ('', cluster) order by started_at desc, rowid desc",
                (cluster,),
            ).fetchall()
        return [_run(row) for row in rows]

    def run(self, id_: str) -> RunRecord:
        """One run by its id; JournalError if there is none."""
        with self.transaction() as database:
            row = database.execute(
                "select id, procedure, cluster, plan, started_at, finished_at, outcome, revised, "
                "person, door from runs where id = ?",
                (id_,),
            ).fetchone()
        if row is None:
            raise JournalError(
                f"no run {id_} in the journal {self.path}",
                reason="RunNotFound",
                hint="see the runs with: shipkeeper runs",
            )
        return _run(row)

    @property
    def version(self) -> tuple[int, int]:
        """Changes with everything that is written, by whichever process."""
        with self.transaction() as database:
            seen = database.execute("pragma data_version").fetchone()[0]
            return (seen, database.total_changes)

    def heads(self) -> list[RunHead]:
        """All runs, newest first, without their plans: those can be large."""
        with self.transaction() as database:
            rows = database.execute(
                "select id, procedure, cluster, started_at, finished_at, outcome, "
                "coalesce(person, ''), coalesce(door, '') "
                "from runs order by started_at desc, rowid desc"
            ).fetchall()
        fields = RunHead.__struct_encode_fields__
        return [msgspec.convert(dict(zip(fields, row, strict=True)), RunHead) for row in rows]

    def unfinished(self, cluster: str, procedure: str, request: dict[str, Any]) -> RunRecord | None:
        """The newest run of the same request, if it did not come to its end."""
        same = (
            run
            for run in self.runs(cluster=cluster)
            if run.procedure == procedure and _canonical(run.plan.request) == _canonical(request)
        )
        newest = next(same, None)
        return newest if newest is not None and newest.is_unfinished else None

    def entries_after(self, run: str, sequence: int) -> tuple[int, list[Entry]]:
        """What was written down of a run after a sequence number, and the last number by now."""
        with self.transaction() as database:
            rows = database.execute(
                "select sequence, step, item, phase, detail, written_at from entries "
                "where run = ? and sequence > ? order by sequence",
                (run, sequence),
            ).fetchall()
        last = rows[-1][0] if rows else sequence
        return last, [_entry(run, *row[1:]) for row in rows]

    def entries(self, run: str, *, step: str = "") -> list[Entry]:
        """What was written down of a run, or of one step of it, oldest first."""
        with self.transaction() as database:
            rows = database.execute(
                "select step, item, phase, detail, written_at from entries where run = ? "
                "and ? in ('', step) order by sequence",
                (run, step),
            ).fetchall()
        return [_entry(run, *row) for row in rows]

    def _error(self, error: Exception) -> JournalError:
        return JournalError(
            f"cannot write the journal {self.path}: {error}",
            reason="JournalUnwritable",
            hint="nothing was begun that is not in the journal; free space or mend permissions, "
            "then run the same command again",
        )


def _canonical(request: dict[str, Any]) -> str:
    return json.dumps(request, sort_keys=True)


def _entry(run: str, step: str, item: str, phase: str, detail: str, written_at: str) -> Entry:
    return Entry(
        run=run,
        step=step,
        item=item,
        phase=Phase(phase),
        detail=json.loads(detail),
        written_at=datetime.fromisoformat(written_at),
    )


_Maybe = str | None
_Row = tuple[str, str, str, str, str, _Maybe, _Maybe, _Maybe, _Maybe, _Maybe]


def _run(row: _Row) -> RunRecord:
    id_, procedure, cluster, plan, started_at, finished_at, outcome, revised, person, door = row
    first = msgspec.json.decode(plan, type=Plan)
    return RunRecord(
        id=id_,
        procedure=procedure,
        cluster=cluster,
        plan=msgspec.json.decode(revised, type=Plan) if revised else first,
        revised_from=first if revised else None,
        started_at=datetime.fromisoformat(started_at),
        finished_at=datetime.fromisoformat(finished_at) if finished_at else None,
        outcome=Outcome(outcome) if outcome else None,
        person=person or "",
        door=door or "",
    )
