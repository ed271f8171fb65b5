"""Runs that somebody looks at: each folded once from its journal and progress, and further."""

import asyncio
from collections.abc import Hashable, Mapping
from datetime import datetime

import msgspec

from shipkeeper.engine.brake import Brake
from shipkeeper.engine.journal import JournalError, Outcome, RunRecord
from shipkeeper.engine.onlooking import Onlooker
from shipkeeper.engine.session import is_driven, run_directory
from shipkeeper.kube.changes import Change
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.nodes.current import CurrentInventory
from shipkeeper.nodes.picture import RunPicture
from shipkeeper.nodes.plan import nodes_of
from shipkeeper.nodes.replacements import Replacement, match_replacements
from shipkeeper.nodes.report import plan_line
from shipkeeper.web.console import Console

_LOOK_EVERY = 0.5  # seconds between two looks whether a process drives a run
_KEPT = 32


class RunHeadView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be said of a whole run; `is_here` tells whether it is this cluster's."""

    id: str
    procedure: str
    what: str
    cluster: str
    is_here: bool
    person: str
    door: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None
    is_driven: bool
    is_paused: bool
    nodes: int
    least_waves: int
    max_failed: int | None


class FollowedRun:
    """One run; `lowest` is the least of healthy pods that was seen of each budget meanwhile."""

    def __init__(self, console: Console, record: RunRecord) -> None:
        self.record = record
        self.picture = RunPicture(record)
        self.lowest: dict[str, int] = {}
        self._console = console
        self._onlooker = Onlooker(run_directory(console.journal, record.id))
        self._sequence = 0
        self._settled: Hashable = None
        self._written: Hashable = None
        self._driven: tuple[float, bool, bool] = (-1.0, False, False)
        self._budgets: set[str] = set()
        self._inventory: CurrentInventory | None = None
        self._matched: tuple[Hashable, Mapping[str, Replacement]] = (None, {})

    @property
    def version(self) -> Hashable:
        """Changes with whatever is shown of it."""
        seen = self._console.observer.version if self.record.is_unfinished else 0
        written = self._console.journal.version
        return (written, self._onlooker.size, self._state(), seen)

    def refresh(self) -> None:
        """Take in what was written and told since."""
        written = self._console.journal.version
        if written != self._written:
            self._written = written
            self._read_journal()
        told = self._onlooker.size
        self.picture.take_told(self._onlooker.read())
        self._settle((self._sequence, told, self.record.outcome, self.record.finished_at))
        self._watch_budgets()

    def _settle(self, known: Hashable) -> None:
        """Settle what was not settled yet: all nodes are drawn anew by it, which takes a while."""
        if known != self._settled:
            self._settled = known
            self.picture.settle()

    def head(self) -> RunHeadView:
        """What is to be said of the whole."""
        record = self.record
        _, driven, paused = self._driven
        return RunHeadView(
            id=record.id,
            procedure=record.procedure,
            what=plan_line(record.plan),
            cluster=record.cluster,
            is_here=self._console.is_here(record.cluster),
            person=record.person,
            door=record.door,
            started_at=record.started_at,
            finished_at=record.finished_at,
            outcome=record.outcome,
            is_driven=driven,
            is_paused=paused,
            nodes=len(nodes_of(record.plan)),
            least_waves=int(record.plan.outlook.get("leastWaves", 0)),
            max_failed=record.plan.max_failed,
        )

    @property
    def replacements(self) -> Mapping[str, Replacement]:
        """What came for the pods that left, by their uids."""
        inventory = self._console.observer.inventory
        if inventory is None or not self._console.is_here(self.record.cluster):
            return {}
        state = (inventory.version, self._sequence, self._onlooker.size)
        if self._matched[0] != state:
            pods = inventory.pods.objects.values()
            left = self.picture.pods.values()
            self._matched = (state, match_replacements(left, pods, self.record.started_at))
        return self._matched[1]

    def budgets(self) -> list[PodDisruptionBudget]:
        """The budgets of this cluster that cover a pod which the run moves, by name."""
        inventory = self._console.observer.inventory
        if inventory is None or not self._console.is_here(self.record.cluster):
            return []
        known = inventory.budgets.objects
        if self.record.is_unfinished or not self._budgets:
            self._find_budgets(inventory)
        found = [known[key] for key in sorted(self._budgets) if key in known]
        for each in found:
            self._know_lowest(each)
        return found

    def _find_budgets(self, inventory: CurrentInventory) -> None:
        state = inventory.state(())
        keys = {pod.key for pod in self.picture.pods.values()}
        families = {key.rpartition("-")[0] for key in keys}
        for key in self.record.plan.limits:
            if key.startswith("budget/"):
                self._budgets.add(key.removeprefix("budget/"))
        for name in self.picture.nodes:
            for pod in inventory.pods_on(name).values():
                if pod.key in keys or pod.key.rpartition("-")[0] in families:
                    self._budgets.update(budget.key for budget in state.budgets_of(pod))

    def _read_journal(self) -> None:
        record = self._console.journal.run(self.record.id)
        if record.plan != self.record.plan:
            self.picture.take_plan(record.plan)
        self.record = self.picture.run = record
        self._sequence, entries = self._console.journal.entries_after(record.id, self._sequence)
        self.picture.take_entries(entries)

    def _state(self) -> tuple[bool, bool]:
        now = asyncio.get_running_loop().time()
        at, driven, paused = self._driven
        if now - at >= _LOOK_EVERY:
            journal = self._console.journal
            driven = self.record.is_unfinished and is_driven(journal, self.record.id)
            paused = Brake(run_directory(journal, self.record.id)).is_on
            self._driven = (now, driven, paused)
        return driven, paused

    def _watch_budgets(self) -> None:
        """See every state of a budget, also those between two looks."""
        inventory = self._console.observer.inventory
        if inventory is not None and inventory is not self._inventory:
            self._inventory = inventory
            inventory.budgets.subscribe(self._on_budget)

    def _on_budget(self, change: Change[PodDisruptionBudget]) -> None:
        self._know_lowest(change.object)

    def _know_lowest(self, budget: PodDisruptionBudget) -> None:
        if self.record.is_unfinished:
            healthy = budget.status.current_healthy
            self.lowest[budget.key] = min(self.lowest.get(budget.key, healthy), healthy)


class FollowedRuns:
    """The runs that are looked at, the latest of them kept."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._runs: dict[str, FollowedRun] = {}
        self._newest: tuple[Hashable, str] = (None, "")

    def find(self, name: str) -> FollowedRun | None:
        """A run by its id, or the newest; None if there is none."""
        wanted = name or self._newest_run()
        found = self._runs.pop(wanted, None) or self._open(wanted)
        if found is not None and not self._console.shows(found.record.cluster):
            return None
        if found is not None:
            self._runs[wanted] = found
            while len(self._runs) > _KEPT:
                del self._runs[next(iter(self._runs))]
        return found

    def _open(self, name: str) -> FollowedRun | None:
        if not name:
            return None
        try:
            return FollowedRun(self._console, self._console.journal.run(name))
        except JournalError:
            return None

    def _newest_run(self) -> str:
        version = (self._console.journal.version, self._console.observer.identities)
        if self._newest[0] != version:
            heads = self._console.journal.heads()
            newest = next((each.id for each in heads if self._console.shows(each.cluster)), "")
            self._newest = (version, newest)
        return self._newest[1]
