"""Random histories under random faults: what a reflector tells replays to what happened.

The truth comes from a kubectl that watches the server directly.
"""

import asyncio
import random
from base64 import b64encode
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from shipkeeper.kube.changes import Added, Change, Deleted, Modified
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Listing, Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.faults import (
    Cut,
    Delay,
    Drop,
    End,
    Fault,
    Freeze,
    LoseAnswer,
    StreamFault,
    expired_event,
    refusal,
)
from tests.faults.proxy import FaultProxy
from tests.kube.objects import CONFIG_MAPS, LABELS, MINE, SECRETS, ConfigMap, Secret
from tests.kube.recorder import Moment, Recorder, State, recording

WATCH = "watch=true"
LIST = "limit="
STEPS = 300
KINDS: tuple[Resource[ConfigMap | Secret], ...] = (CONFIG_MAPS, SECRETS)


class ListingReader(Reader):
    """A reader that remembers at which revisions it listed."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.listed: list[int] = []

    async def list(self, *arguments: Any, **settings: Any) -> Listing[Any]:
        listing = await super().list(*arguments, **settings)
        self.listed.append(int(listing.resource_version))
        return listing


class Witness:
    """Checks each change as it is told against what was told before, and keeps it."""

    def __init__(self, resource: Resource[Any], reader: ListingReader, namespace: str) -> None:
        self.resource = resource
        self.reader = reader
        self.now: dict[str, ConfigMap | Secret] = {}
        self.states: set[State] = set()
        self.deleted: list[str] = []
        self.gaps: list[tuple[int, int]] = []
        self.reflector: Reflector[Any] = Reflector(
            reader,
            resource,
            namespace=namespace,
            label_selector=MINE,
            inactivity=timedelta(seconds=2),
        )
        self.reflector.subscribe(self._hear)
        self._newest = 0

    def _hear(self, change: Change[ConfigMap | Secret]) -> None:
        if len(self.gaps) < len(self.reader.listed):
            self.gaps.append((self._newest, self.reader.listed[-1]))
        name, known = change.object.name, self.now.get(change.object.name)
        match change:
            case Added(seen):
                assert known is None, f"{name} was added twice"
                self._keep(seen)
            case Modified(old, seen):
                assert old is known, f"{name} changed from a state that was never told"
                assert int(seen.metadata.resource_version) > int(old.metadata.resource_version)
                self._keep(seen)
            case Deleted(last):
                assert known, f"{name} was deleted before it was added"
                assert last.uid == known.uid
                del self.now[name]
                self.deleted.append(last.uid)
                self._newest = max(self._newest, int(last.metadata.resource_version))

    def _keep(self, seen: ConfigMap | Secret) -> None:
        self.now[seen.name] = seen
        state = _state(seen)
        assert state not in self.states, f"{state} was told twice"
        self.states.add(state)
        self._newest = max(self._newest, state.revision)

    def check(self, history: Iterable[Moment]) -> None:
        """Compare what was told with what happened."""
        truth: dict[str, State] = {}
        states: set[State] = set()
        deleted: list[str] = []
        for moment in history:
            if moment.type == "DELETED":
                deleted.append(truth.pop(moment.state.name).uid)
            else:
                truth[moment.state.name] = moment.state
                states.add(moment.state)
        assert {name: _state(seen) for name, seen in self.now.items()} == truth
        assert self.states <= states, "a state was told that never was"
        lost = {each for each in states - self.states if not self._may_skip(each)}
        assert not lost, f"no list explains why these were not told: {lost}"
        known = {each.uid for each in self.states}
        assert sorted(self.deleted) == sorted(uid for uid in deleted if uid in known)

    def _may_skip(self, state: State) -> bool:
        return any(after < state.revision <= until for after, until in self.gaps[1:])


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("expiry", [False, True], ids=["no-410", "410"])
async def test_what_is_told_replays_to_what_happened(
    sandbox: Sandbox, proxy: FaultProxy, writer: Writer, namespace: str, seed: int, expiry: bool
) -> None:
    dice = random.Random(seed)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig)))
        )
        scribes = [Scribe(kind, writer, namespace, dice) for kind in KINDS]
        for scribe in scribes:
            await scribe.create("first")
        recorders = [
            await stack.enter_async_context(recording(sandbox.kubeconfig, kind.plural, namespace))
            for kind in KINDS
        ]
        for recorder in recorders:
            await asyncio.wait_for(recorder.until("first"), 30)
        witnesses = [Witness(kind, ListingReader(connection), namespace) for kind in KINDS]
        for witness in witnesses:
            await stack.enter_async_context(witness.reflector)
        for step in range(STEPS):
            if step % 5 == 0:
                _harm(proxy, dice, expiry=expiry)
            await dice.choice(scribes).write_something()
            await asyncio.sleep(dice.choice([0, 0, 0.005, 0.03]))
        proxy.heal()
        if expiry:
            proxy.inject(refusal(410, "Expired"), path=WATCH)
        proxy.strike(Cut())
        for scribe, recorder, witness in zip(scribes, recorders, witnesses, strict=True):
            await scribe.create("last")
            await _compare(witness, recorder)
        assert any(len(witness.reader.listed) > 1 for witness in witnesses) is expiry


async def _compare(witness: Witness, recorder: Recorder) -> None:
    reflector = witness.reflector
    async with asyncio.timeout(60):
        await reflector.wait_for(lambda seen: any(each.name == "last" for each in seen.values()))
        witness.check(await recorder.until("last"))
    assert {each.name: each for each in reflector.objects.values()} == witness.now


class Scribe:
    """Writes random objects of one kind."""

    def __init__(
        self, kind: Resource[Any], writer: Writer, namespace: str, dice: random.Random
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._namespace = namespace
        self._dice = dice
        self._there: set[str] = set()
        self._written = 0

    async def write_something(self) -> None:
        """Create, change, delete or replace one of a few objects."""
        name = f"object-{self._dice.randrange(8)}"
        if name not in self._there:
            await self.create(name)
            return
        act = self._dice.choice([self._change, self._change, self._delete, self._replace])
        await act(name)

    async def create(self, name: str) -> None:
        manifest = {
            "apiVersion": "v1",
            "kind": self._kind.kind,
            "metadata": {"name": name, "labels": LABELS},
            "data": self._data(),
        }
        await self._writer.create(self._kind, manifest, namespace=self._namespace)
        self._there.add(name)

    async def _change(self, name: str) -> None:
        patch = {"data": self._data()}
        await self._writer.patch(self._kind, name, patch, namespace=self._namespace)

    async def _delete(self, name: str) -> None:
        await self._writer.delete(self._kind, name, namespace=self._namespace)
        self._there.discard(name)

    async def _replace(self, name: str) -> None:
        await self._delete(name)
        await self.create(name)

    def _data(self) -> dict[str, str]:
        self._written += 1
        return {"n": b64encode(str(self._written).encode()).decode()}


def _harm(proxy: FaultProxy, dice: random.Random, *, expiry: bool) -> None:
    """Break what runs and what comes next."""
    proxy.heal()
    now: list[StreamFault] = [Cut(), Cut(), Cut(), Freeze()]
    next_: list[Fault] = [
        Cut(dice.randrange(6), dice.randrange(400)),
        Freeze(dice.randrange(6)),
        End(dice.randrange(6)),
        refusal(dice.choice([500, 503, 504]), "InternalError"),
        Drop(),
        LoseAnswer(),
        Delay(0.05),
    ]
    if expiry:
        now.append(expired_event())
        next_ += [refusal(410, "Expired"), expired_event(dice.randrange(6))]
        on_list = dice.choice([refusal(500, "InternalError"), Drop(), LoseAnswer(), Delay(0.05)])
        proxy.inject(on_list, path=LIST)
    proxy.inject(dice.choice(next_), path=WATCH)
    proxy.strike(dice.choice(now))


def _state(seen: ConfigMap | Secret) -> State:
    return State(seen.name, seen.uid, int(seen.metadata.resource_version), seen.data["n"])
