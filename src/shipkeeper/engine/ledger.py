"""What a run needs of its journal: on this machine that is SQLite, in the operator ConfigMaps."""

from typing import Protocol

from shipkeeper.engine.journal import Entry, Outcome
from shipkeeper.engine.review import Revision


class Ledger(Protocol):
    """What a run needs of its journal, wherever that is kept.

    All that is written is on record when the call returns; JournalError if it cannot be.
    """

    def entries(self, run: str, *, step: str = "") -> list[Entry]:
        """What was written down of a run, or of one step of it, oldest first."""
        ...

    async def write(self, entry: Entry) -> None:
        """Append an entry."""
        ...

    async def revise(self, run: str, revision: Revision) -> None:
        """Write down that a run goes on by another plan, and what changed."""
        ...

    async def finish(self, run: str, outcome: Outcome) -> None:
        """Write down how a run ended."""
        ...
