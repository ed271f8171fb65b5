"""What a run tells is there for onlookers, in pieces or whole; a run does not mind otherwise."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.onlooking import Onlooker, overheard
from shipkeeper.engine.origin import DOOR, PERSON, Origin, origin
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Event, ItemChanged, Note, StepStarted

STEP = Step(id="s", action="drain", target="node/a", effect="drained")


def test_what_is_told_is_read_once(tmp_path: Path) -> None:
    heard: list[Event] = []
    tell, onlooker = overheard(tmp_path, heard.append), Onlooker(tmp_path)
    assert onlooker.size == 0
    assert list(onlooker.read()) == []
    tell(StepStarted(STEP))
    tell(ItemChanged("s", "a/b", "Waiting", "why", "a/c"))
    (started, item) = onlooker.read()
    assert (started["type"], started["step"]) == ("started", "s")
    assert (item["item"], item["state"], item["budget"]) == ("a/b", "Waiting", "a/c")
    tell(Note("done"))
    assert [each["message"] for each in onlooker.read()] == ["done"]
    assert list(onlooker.read()) == []
    assert len(heard) == 3
    assert (tmp_path / "progress.jsonl").stat().st_mode & 0o777 == 0o600


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path, onlooker = tmp_path / "progress.jsonl", Onlooker(tmp_path)
    path.write_bytes(b'{"type":"no')
    assert list(onlooker.read()) == []
    path.write_bytes(b'{"type":"note"}\nnonsense\n{"type":')
    assert list(onlooker.read()) == [{"type": "note"}]


def test_what_cannot_be_written_is_told_all_the_same(tmp_path: Path) -> None:
    heard: list[Event] = []
    overheard(tmp_path / "gone", heard.append)(Note("a"))
    assert heard == [Note("a")]


def test_who_began_is_whoever_the_door_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PERSON, raising=False)
    monkeypatch.delenv(DOOR, raising=False)
    assert origin().door == "cli"
    assert "@" in origin().person
    for name, value in Origin(person="ann", door="console").environment().items():
        monkeypatch.setenv(name, value)
    assert origin() == Origin(person="ann", door="console")


def test_a_journal_of_before_learns_who_and_by_which_door(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old = sqlite3.connect(path)
    old.execute(
        "create table runs (id text primary key, procedure text not null, cluster text not null, "
        "request text not null, plan text not null, started_at text not null, finished_at text, "
        "outcome text, revised text)"
    )
    old.close()
    plan = Plan(procedure="drain", request={}, steps=(STEP,))
    record = RunRecord(
        id="r",
        procedure="drain",
        cluster="c",
        plan=plan,
        started_at=datetime(2026, 3, 1, tzinfo=UTC),
        person="ann",
        door="console",
    )
    journal = Journal(path)
    before = journal.version
    journal.begin(record)
    assert journal.version != before
    assert journal.run("r") == record
    (head,) = journal.heads()
    assert (head.id, head.person, head.door, head.outcome) == ("r", "ann", "console", None)
    other = Journal(path)
    seen = other.version
    assert other.version == seen
    journal.close()
    other.close()
