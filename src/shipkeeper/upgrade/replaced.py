"""Nodes that their provider replaces by others instead of upgrading them: they are done."""

import asyncio
from collections.abc import Mapping

import msgspec

from shipkeeper.engine.action import Action, StepRecord
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.steps import node_of
from shipkeeper.upgrade.replacements import Replacements

_LOOK_EVERY = 2.0  # seconds
# What is done to a node from its cordon to its return.
_OF_NODES = ("cordon", "drain", "daemons", "detach", "update", "ready", "uncordon")


def unless_replaced(
    actions: Mapping[str, Action], reader: Reader, tell: Sink, replacements: Replacements
) -> Mapping[str, Action]:
    """The same actions, but that of a node that is gone only its replacement is waited for."""
    found = {
        name: _UnlessReplaced(each, reader, tell) if name in _OF_NODES else each
        for name, each in actions.items()
    }
    if "ready" in found:
        found["ready"] = _ReadyUnlessReplaced(actions["ready"], reader, tell, replacements)
    if "gate" in found:
        found["gate"] = _GateOfTheRest(found["gate"], reader)
    return found


class _UnlessReplaced:
    """An action that is over once its node is gone."""

    def __init__(self, action: Action, reader: Reader, tell: Sink) -> None:
        self._action = action
        self._reader = reader
        self._tell = tell
        self._over: set[str] = set()

    async def check(self, step: Step) -> Verdict | None:
        if await self._is_gone(step):
            return None
        return await self._action.check(step)

    async def perform(self, step: Step, record: StepRecord) -> None:
        if step.id in self._over:
            return
        work = asyncio.create_task(self._action.perform(step, record))
        gone = asyncio.create_task(self._until_gone(step))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        except NotFoundError:
            if not await self._is_gone(step):
                raise
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        if step.id in self._over:
            return None
        return await self._action.verify(step, record)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        return not await self._is_gone(step) and await self._action.undo(step, record)

    async def _until_gone(self, step: Step) -> None:
        while not await self._is_gone(step):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)

    async def _is_gone(self, step: Step) -> bool:
        """Whether there is no such node; that is said once, and final for this step."""
        try:
            await self._reader.get(NODES, node_of(step))
        except NotFoundError:
            if step.id not in self._over:
                self._over.add(step.id)
                self._tell(Note(f"{node_of(step)} is gone: its provider has replaced it"))
            return True
        except ShipkeeperError:
            return False
        return False


class _ReadyUnlessReplaced(_UnlessReplaced):
    """The return of a node, or of another in its place: its cordon's claim is held until then."""

    def __init__(
        self, action: Action, reader: Reader, tell: Sink, replacements: Replacements
    ) -> None:
        super().__init__(action, reader, tell)
        self._replacements = replacements

    async def perform(self, step: Step, record: StepRecord) -> None:
        await super().perform(step, record)
        if step.id in self._over:
            await self._replacements.wait(node_of(step))


class _GateOfTheRest:
    """A gate that asks for no nodes that are gone."""

    def __init__(self, gate: Action, reader: Reader) -> None:
        self._gate = gate
        self._reader = reader

    async def check(self, step: Step) -> Verdict | None:
        return await self._gate.check(step)

    async def perform(self, step: Step, record: StepRecord) -> None:
        there = {each.name for each in (await self._reader.list(NODES)).items}
        left = tuple(id_ for id_ in step.after if id_.partition("/")[0] in there)
        await self._gate.perform(msgspec.structs.replace(step, after=left), record)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        return await self._gate.verify(step, record)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        return await self._gate.undo(step, record)
