"""Journal: who did what when, by which door, and what became of it."""

import asyncio
from collections.abc import Hashable
from datetime import datetime

import msgspec
from starlette.routing import Route

from shipkeeper.engine.journal import RunHead
from shipkeeper.engine.session import is_driven
from shipkeeper.nodes.report import plan_line
from shipkeeper.web.answers import convert_query
from shipkeeper.web.console import Console
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.pages.run import RunPage
from shipkeeper.web.person import Person
from shipkeeper.web.view import View

_WINDOW = 400
_LOOK_EVERY = 2.0  # seconds


class JournalQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Which runs: words that must all be found, and a window."""

    q: str = ""
    from_: int = 0
    to: int = 60


class RunLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run in the list."""

    id: str
    procedure: str
    what: str
    person: str
    door: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    is_here: bool


class JournalPage:
    """The page; a plan is read once to be put into a line."""

    info = PageInfo(name="journal", title="Journal", needs=RunPage.info.needs)

    def __init__(self, console: Console) -> None:
        self._console = console
        self._what: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """Nothing but the view."""
        return []

    def parse(self, query: Query) -> JournalQuery:
        """Which runs are looked at."""
        return convert_query(query, JournalQuery)

    def version(self, person: Person, asked: JournalQuery) -> Hashable:
        """Whatever is written by anybody, and who still drives a run."""
        # Nobody writes down that a run is not driven any more.
        beat = int(asyncio.get_running_loop().time() / _LOOK_EVERY)
        return (self._console.journal.version, self._console.observer.identities, beat)

    async def look(self, person: Person, asked: JournalQuery) -> View:
        """The runs of the window, newest first."""
        words = asked.q.casefold().split()
        heads = self._console.journal.heads()
        lines = [self._line(head) for head in heads if self._console.shows(head.cluster)]
        found = [each for each in lines if all(word in _text(each) for word in words)]
        first = max(asked.from_, 0)
        shown = found[first : min(max(asked.to, first), first + _WINDOW)]
        items: dict[str, object] = {
            "head": {
                "total": len(lines),
                "matching": len(found),
                "from": first,
                "knowsAll": self._console.knows_all,
            },
            **{f"run/{each.id}": each for each in shown},
        }
        return View(items, tuple(f"run/{each.id}" for each in shown))

    def _line(self, head: RunHead) -> RunLine:
        return RunLine(
            id=head.id,
            procedure=head.procedure,
            what=self._words(head.id),
            person=head.person,
            door=head.door,
            started_at=head.started_at,
            finished_at=head.finished_at,
            outcome=head.outcome or self._unfinished(head.id),
            is_here=self._console.is_here(head.cluster),
        )

    def _unfinished(self, run: str) -> str:
        return "Running" if is_driven(self._console.journal, run) else "Unfinished"

    def _words(self, run: str) -> str:
        if run not in self._what:
            self._what[run] = plan_line(self._console.journal.run(run).plan)
        return self._what[run]


def _text(line: RunLine) -> str:
    parts = (line.id, line.procedure, line.what, line.person, line.door, line.outcome)
    return " ".join(parts).casefold()
