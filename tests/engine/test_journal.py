import asyncio
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipkeeper.engine.journal import Entry, Journal, JournalError, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Plan, Step

STEP = Step(id="a/cordon", action="cordon", target="node/a", effect="new pods are refused")


def record(id_: str, nodes: tuple[str, ...] = ("a",)) -> RunRecord:
    return RunRecord(
        id=id_,
        procedure="drain",
        cluster="c",
        plan=Plan(procedure="drain", request={"nodes": list(nodes)}, steps=(STEP,)),
        started_at=datetime.now(UTC),
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal.db")


async def test_what_was_written_is_read_by_the_next_process(journal: Journal) -> None:
    journal.begin(record("r1"))
    writes = [
        journal.write(Entry(run="r1", step="s", item=str(n), phase=Phase.BEFORE, detail={"n": n}))
        for n in range(50)
    ]
    await asyncio.gather(*writes)
    again = Journal(journal.path)
    assert [entry.detail["n"] for entry in again.entries("r1")] == list(range(50))
    assert again.run("r1").plan.steps == (STEP,)
    assert again.run("r1").outcome is None


async def test_an_interrupted_run_of_the_same_request_is_found(journal: Journal) -> None:
    journal.begin(record("r1"))
    assert journal.unfinished("c", "drain", {"nodes": ["a"]}) is not None
    assert journal.unfinished("c", "drain", {"nodes": ["b"]}) is None
    assert journal.unfinished("other", "drain", {"nodes": ["a"]}) is None
    await journal.finish("r1", Outcome.INTERRUPTED)
    assert journal.unfinished("c", "drain", {"nodes": ["a"]}) is not None
    await journal.finish("r1", Outcome.SUCCEEDED)
    assert journal.unfinished("c", "drain", {"nodes": ["a"]}) is None


async def test_only_the_newest_run_of_a_request_counts(journal: Journal) -> None:
    journal.begin(record("r1"))
    journal.begin(record("r2"))
    await journal.finish("r2", Outcome.SUCCEEDED)
    assert journal.unfinished("c", "drain", {"nodes": ["a"]}) is None


async def test_a_full_disk_is_an_error_before_anything_is_done(journal: Journal) -> None:
    journal.begin(record("r1"))
    # SQLite's own limit on the file's size gives the same error as a full disk.
    journal._database.execute("pragma max_page_count = 1")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(JournalError) as caught:
        await asyncio.gather(
            *(
                journal.write(
                    Entry(run="r1", step="s", phase=Phase.BEFORE, detail={"text": "x" * 4000})
                )
                for _ in range(50)
            )
        )
    assert caught.value.reason == "JournalUnwritable"
    assert "full" in caught.value.message
    assert Journal(journal.path).entries("r1") == []


def test_nobody_else_may_read_it(journal: Journal) -> None:
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


def test_an_unwritable_place_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path / "file" / "journal.db")
    assert caught.value.hint


def test_a_newer_journal_is_left_alone(journal: Journal) -> None:
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("pragma user_version = 99")
    database.close()
    with pytest.raises(JournalError, match="newer"):
        Journal(journal.path)


def test_an_unknown_run_is_named(journal: Journal) -> None:
    with pytest.raises(JournalError, match="no run r9"):
        journal.run("r9")
