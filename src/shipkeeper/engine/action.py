"""How steps of one kind are done, and what the journal holds of each."""

from collections.abc import Mapping
from typing import Any, Protocol

from shipkeeper.engine.journal import Entry, Phase
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.plan import Step
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError


class StandingError(ShipkeeperError):
    """A step failed in a way that leaves its rollback undone: what it would undo must stand."""


class StepRecord:
    """What the journal holds of one step, and the pen to add to it; `others` are all by step."""

    def __init__(
        self,
        journal: Ledger,
        run: str,
        step: str,
        entries: list[Entry],
        others: Mapping[str, "StepRecord"],
    ) -> None:
        self._journal = journal
        self._run = run
        self._step = step
        self.others = others
        self.items: dict[str, Phase] = {}
        self.phase: Phase | None = None
        self.detail: dict[str, Any] = {}
        for entry in entries:
            self._remember(entry)

    @property
    def is_begun(self) -> bool:
        """Whether something of this step may stand: it was begun, and not taken back since."""
        return self.phase not in (None, Phase.UNDONE)

    async def write(self, phase: Phase, *, item: str = "", **detail: Any) -> None:
        """Write one entry of this step, or of one of its items, down."""
        entry = Entry(run=self._run, step=self._step, item=item, phase=phase, detail=detail)
        await self._journal.write(entry)
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        if entry.item:
            self.items[entry.item] = entry.phase
        else:
            self.phase = entry.phase
            self.detail = {**self.detail, **entry.detail}


class Action(Protocol):
    """How steps of one kind are done."""

    async def check(self, step: Step) -> Verdict | None:
        """Look at the live cluster: the verdict that forbids the step, or None."""
        ...

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Bring the effect about; told by the record what an earlier attempt began."""
        ...

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """Observe the effect: None if it is there, else what is missing."""
        ...

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Take back what the record says was begun; False if there was nothing to take back."""
        ...


class SelfEvident:
    """What an action has that nothing forbids, whose end is its effect, and which only adds.

    It is left to the action itself to be performed.
    """

    async def check(self, step: Step) -> Verdict | None:
        """Nothing forbids it."""
        return None

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """Its end was its effect."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """There is nothing to take back."""
        return False
