"""A maintenance of a fleet killed at every call to the API server, then resumed or given up.

All writes are covered before they are sent and after they were answered: by default the first of
every other purpose is resumed and the last of the others is given up, in turn before and after, and
a few reads; with SHIPKEEPER_EXHAUSTIVE=1 every call is both.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.errors import EXIT_BLOCKED, EXIT_LOCK_HELD
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import LEASES, NODES
from shipkeeper.nodes.cordon import owner_of
from shipkeeper.nodes.fleet.steering import TAINT
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.orders import Order, parse_canary
from tests.cli.run import run_cli
from tests.nodes.calls import EVENT, READ, Call
from tests.nodes.dying import KILLED, Request, in_process
from tests.nodes.test_cordon_rules import essence
from tests.nodes.world import World, settled

IS_EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
READS = 2
LOCK = ("shipkeeper", "kube-system")
WRITES = {
    "make lock",
    "take lock",
    "renew lock",
    "release lock",
    "steer",
    "cordon",
    "evict",
    "uncordon",
    "unsteer",
}
# Somebody else's, on a node that is in service and on one that is not.
PREFERENCE = {"key": "example.com/slow", "value": "disk", "effect": "PreferNoSchedule"}
DISEASE = {"key": "example.com/disk", "value": "bad", "effect": "NoExecute"}


class Fleet:
    """Three nodes that always have one pod of `web` each, more pods, and a node out of service."""

    def __init__(self, world: World, nodes: tuple[str, ...], before: list[Any]) -> None:
        self.world = world
        self.nodes = nodes
        self._before = before
        self._attempts = 0

    @classmethod
    async def up(cls, world: World) -> "Fleet":
        """Bring it up."""
        nodes = await world.add_nodes(4)
        note = {"metadata": {"annotations": {"example.com/why": "theirs"}}}
        await world.writer.patch(NODES, nodes[1], {**note, "spec": {"taints": [PREFERENCE]}})
        away = {"unschedulable": True, "taints": [DISEASE]}
        await world.writer.patch(NODES, nodes[3], {**note, "spec": away})
        await world.up(
            world.deployment("web", 3, apart=True),
            world.budget("web", max_unavailable=2),
            world.deployment("api", 2),
            world.budget("api", min_available=1),
        )
        await settled(world, nodes)
        return cls(world, nodes, await state_of(world, nodes))

    def request(self, *, work: str = "true") -> Request:
        """A maintenance of all of it, with a journal of its own."""
        self._attempts += 1
        directory = self.world.directory / f"attempt-{self._attempts}" / "shipkeeper"
        directory.mkdir(parents=True)
        return Request(
            kubeconfig=str(self.world.sandbox.kubeconfig),
            journal=str(directory / "journal.db"),
            nodes=self.nodes,
            options=MaintenanceOptions(
                drain=DrainOptions(),
                command=f'echo "$NODE_NAME" >> {directory}/commands; {work}',
                max_unavailable="2",
                order=Order(canary=parse_canary([self.nodes[0]])),
            ),
            notes=str(directory / "calls"),
            is_gentle=not IS_EXHAUSTIVE,
        )

    async def require_as_before(self) -> None:
        """Everything that is not ours is as it was, and nothing of ours is left on the nodes."""
        await self.world.up()
        await settled(self.world, self.nodes)
        assert await state_of(self.world, self.nodes) == self._before
        assert await lock_holder(self.world) == ""

    async def say(self, request: Request, *arguments: str) -> str:
        """What `shipkeeper maintain` tells a user with the journal of a request."""
        state = str(Path(request.journal).parent.parent)
        done = await run_cli(
            self.world.sandbox, "maintain", *arguments, environment={"XDG_STATE_HOME": state}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    async def forget_lock(self) -> None:
        """Let the next run be the first in this cluster."""
        with suppress(NotFoundError):
            await self.world.writer.delete(LEASES, LOCK[0], namespace=LOCK[1])


async def state_of(world: World, nodes: Iterable[str]) -> list[Any]:
    return [essence(await world.reader.get_raw(NODES, node)) for node in nodes]


async def lock_holder(world: World) -> str:
    return (await world.reader.get(LEASES, *LOCK)).spec.holder_identity or ""


def outcomes(request: Request) -> list[Outcome | None]:
    return [run.outcome for run in Journal(Path(request.journal)).runs()]


def calls_of(request: Request) -> Counter[str]:
    return Counter(Path(request.notes).read_text().splitlines())


def worked_on(request: Request) -> Counter[str]:
    """How often the command ran for each node."""
    commands = Path(request.journal).with_name("commands")
    return Counter(commands.read_text().split()) if commands.exists() else Counter()


async def census(fleet: Fleet) -> Counter[str]:
    """How often a run makes each call, seen in one that nobody kills."""
    await fleet.forget_lock()
    request = msgspec.structs.replace(fleet.request(work="sleep 1"), renew_every=0.2)
    assert await in_process(request) == 0
    await fleet.require_as_before()
    assert worked_on(request) == dict.fromkeys(fleet.nodes, 1)
    return calls_of(request)


def deaths(calls: Counter[str], *, last: bool) -> list[Call]:
    """The calls to die at: both sides of all, or one of the first or last of some purposes."""
    chosen: list[tuple[str, int]] = []
    for purpose in sorted(WRITES) if IS_EXHAUSTIVE else sorted(WRITES)[not last :: 2]:
        # Evictions beyond those of `web` depend on where the other pods are.
        one = min(calls[purpose], 3) if last else 1
        numbers = range(1, calls[purpose] + 1) if IS_EXHAUSTIVE else (one,)
        chosen += [(purpose, number) for number in numbers]
    stride = 1 if IS_EXHAUSTIVE else calls[READ] // (READS + 1)
    if IS_EXHAUSTIVE or not last:
        chosen += [(READ, number) for number in range(stride, calls[READ] + 1, stride)]
    return [
        Call(purpose=purpose, number=number, is_answered=is_answered)
        for index, (purpose, number) in enumerate(chosen)
        for is_answered in ((False, True) if IS_EXHAUSTIVE else (index % 2 == 1,))
    ]


async def die(fleet: Fleet, call: Call) -> tuple[Request, bool]:
    """Begin a maintenance that dies at a call, if it comes to that."""
    if call.purpose == "make lock":
        await fleet.forget_lock()
    is_renewal = call.purpose == "renew lock"
    request = msgspec.structs.replace(
        fleet.request(work="sleep 1" if is_renewal else "true"),
        renew_every=0.2 if is_renewal else 5.0,
        dies_at_call=call,
    )
    code = await in_process(request)
    assert code in (0, KILLED), f"{call} ended with {code}"
    return msgspec.structs.replace(request, dies_at_call=None), code == KILLED


async def test_killed_at_every_call_it_is_resumed_and_nothing_is_done_twice(
    newest_world: World,
) -> None:
    fleet = await Fleet.up(newest_world)
    calls = await census(fleet)
    assert calls.keys() == WRITES | {READ, EVENT}
    died = 0
    for call in deaths(calls, last=False):
        request, is_dead = await die(fleet, call)
        died += is_dead
        # How many requests a run takes depends on its luck; what is certain is one of each.
        assert is_dead or call.number > 1, f"never came to {call}"
        if is_dead:
            assert await in_process(request) == 0, f"the rerun after {call} failed"
        assert set(outcomes(request)) == {Outcome.SUCCEEDED}, call
        assert worked_on(request) == dict.fromkeys(fleet.nodes, len(outcomes(request))), call
        await fleet.require_as_before()
    print(f"{died} deaths, each resumed")  # noqa: T201
    assert died >= (2 * len(WRITES) if IS_EXHAUSTIVE else len(WRITES) // 2)
    evicted = Counter(newest_world.accepted_evictions())
    assert [pod for pod, times in evicted.items() if times > 1] == []


async def test_killed_at_every_call_it_is_given_up_without_a_trace(newest_world: World) -> None:
    fleet = await Fleet.up(newest_world)
    calls, died = await census(fleet), 0
    for call in deaths(calls, last=True):
        request, is_dead = await die(fleet, call)
        died += is_dead
        if outcomes(request) == [None]:
            given_up = msgspec.structs.replace(request, gives_up=True)
            assert await give_up(given_up) == 0, f"giving up after {call} failed"
            assert outcomes(request) == [Outcome.ABORTED]
        elif is_dead:
            # It had not begun, or was over: the next run takes its lock over at once.
            assert await in_process(request) == 0, f"the run after {call} failed"
        assert max(worked_on(request).values(), default=0) <= len(outcomes(request)), call
        await fleet.require_as_before()
    print(f"{died} deaths, each given up")  # noqa: T201
    assert died >= (2 * (len(WRITES) - 1) if IS_EXHAUSTIVE else len(WRITES) // 2 - 1)


async def give_up(request: Request) -> int | None:
    """Give up as soon as no command runs any more: until then its node is not given back."""
    async with asyncio.timeout(60):
        while (code := await in_process(request)) == EXIT_BLOCKED:
            await asyncio.sleep(0.1)
    return code


async def test_giving_up_is_killed_as_well_and_ended_later(newest_world: World) -> None:
    fleet = await Fleet.up(newest_world)
    # The first node is done then, two others are on their way.
    call = Call(purpose="evict", number=3, is_answered=True)
    for index, purpose in enumerate(("uncordon", "unsteer", "release lock")):
        for is_answered in (False, True) if IS_EXHAUSTIVE else (index % 2 == 1,):
            request, is_dead = await die(fleet, call)
            assert is_dead
            (run,) = Journal(Path(request.journal)).runs()
            assert f"run {run.id} was interrupted: go on with" in await fleet.say(request, "status")
            given_up = msgspec.structs.replace(request, gives_up=True)
            at = Call(purpose=purpose, number=1, is_answered=is_answered)
            assert await in_process(msgspec.structs.replace(given_up, dies_at_call=at)) == KILLED
            if purpose != "release lock":
                assert f"shipkeeper abort {run.id}" in await fleet.say(request, "status")
                # The journal calls nodes drained that may be in service by now.
                assert await in_process(request) == EXIT_BLOCKED
                assert await in_process(given_up) == 0
            assert "has ended: Aborted" in await fleet.say(request, "status")
            assert max(worked_on(request).values(), default=0) <= 1
            if purpose == "release lock":
                # Nothing is left to give up but the lock, and that is the next run's.
                assert await in_process(request) == 0
            await fleet.require_as_before()


async def test_a_run_that_dies_again_and_again_gets_on(newest_world: World) -> None:
    fleet = await Fleet.up(newest_world)
    request, lives = fleet.request(), 0
    for lives in range(1, 50):
        # Every life ends at its first eviction or uncordon, whichever is its turn.
        purpose = ("evict", "uncordon")[lives % 2]
        call = Call(purpose=purpose, number=1, is_answered=bool(lives // 2 % 2))
        if await in_process(msgspec.structs.replace(request, dies_at_call=call)) == 0:
            break
    assert lives > 2
    assert outcomes(request) == [Outcome.SUCCEEDED]
    assert worked_on(request) == dict.fromkeys(fleet.nodes, 1)
    await fleet.require_as_before()


async def test_another_machine_is_kept_out_until_the_holder_is_seen_dead(
    newest_world: World,
) -> None:
    fleet, go = await Fleet.up(newest_world), newest_world.directory / "go"
    work = f"until [ -e {go} ]; do sleep 0.05; done"
    first = fleet.request(work=work)
    second = msgspec.structs.replace(fleet.request(), machine="elsewhere")
    running = asyncio.create_task(in_process(first))
    while not worked_on(first):
        await asyncio.sleep(0.05)
    assert await in_process(second) == EXIT_LOCK_HELD
    go.touch()
    assert await running == 0

    call = Call(purpose="evict", number=2, is_answered=True)
    first, is_dead = await die(fleet, call)
    assert is_dead
    (run,) = Journal(Path(first.journal)).runs()
    assert (await lock_holder(newest_world)).startswith(f"run {run.id} on ")
    # From there nobody can tell a dead holder from one that was alive just now.
    assert await in_process(second) == EXIT_LOCK_HELD
    old = {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 1}
    await newest_world.writer.patch(LEASES, LOCK[0], {"spec": old}, namespace=LOCK[1])
    assert await in_process(second) == 0
    assert worked_on(second) == dict.fromkeys(fleet.nodes, 1)
    # It took over what the first had left cordoned; the first's marks were not its to take away.
    marked = [await newest_world.node(name) for name in fleet.nodes]
    assert {owner_of(node) for node in marked} == {""}
    assert any((TAINT, run.id) in {(t.key, t.value) for t in n.spec.taints} for n in marked)
    # Its nodes are in service: gone on with, the first stops at that, and it can be given up.
    assert await in_process(first) == 1
    assert await in_process(msgspec.structs.replace(first, gives_up=True)) == 0
    assert outcomes(first) == [Outcome.ABORTED]
    await fleet.require_as_before()


async def test_a_paused_run_that_is_killed_is_explained_and_resumed(newest_world: World) -> None:
    fleet, go = await Fleet.up(newest_world), newest_world.directory / "go"
    work = f"until [ -e {go} ]; do sleep 0.05; done"
    request = msgspec.structs.replace(
        fleet.request(work=work),
        dies_at_call=Call(purpose="uncordon", number=1, is_answered=False),
    )
    running = asyncio.create_task(in_process(request))
    while not worked_on(request):
        await asyncio.sleep(0.05)
    (run,) = Journal(Path(request.journal)).runs()
    assert "paused" in await fleet.say(request, "pause")
    assert f"run {run.id} is paused: go on with" in await fleet.say(request, "status")
    go.touch()
    assert await running == KILLED
    said = await fleet.say(request, "status")
    assert f"shipkeeper maintain resume {run.id}" in said
    assert f"shipkeeper maintain abort {run.id}" in said
    await fleet.say(request, "resume")
    assert "has ended: Succeeded" in await fleet.say(request, "status")
    assert worked_on(request) == dict.fromkeys(fleet.nodes, 1)
    await fleet.require_as_before()
