"""The journal in ConfigMaps: nothing is lost, nobody writes beside it, size does not matter."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from shipkeeper.engine.journal import PLAN, Entry, JournalError, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.review import Revision
from shipkeeper.kube.errors import UnreachableError
from shipkeeper.kube.resources import CONFIG_MAPS, NAMESPACES
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.ledger import LABEL, ClusterLedger, Home, begin_ledger, load_ledger
from tests.nodes.world import World


def plan(steps: int = 1, effect: str = "happens") -> Plan:
    made = (Step(id=f"s{n}", action="a", target="t", effect=effect) for n in range(steps))
    return Plan(procedure="maintain", request={"nodes": ["a"]}, steps=tuple(made))


@pytest.fixture
async def home(world: World) -> Home:
    """A journal's place in the world's namespace; the namespace owns it."""
    namespace = await world.reader.get_raw(NAMESPACES, world.name)
    owner = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": world.name,
        "uid": namespace["metadata"]["uid"],
    }
    return Home(namespace=world.name, name="run", owner=owner)


async def begun(world: World, home: Home, made: Plan) -> ClusterLedger:
    run = RunRecord(
        id="r1", procedure="maintain", cluster="c", plan=made, started_at=datetime.now(UTC)
    )
    return await begin_ledger(world.reader, world.writer, home, run)


async def loaded(world: World, home: Home) -> ClusterLedger:
    found = await load_ledger(world.reader, world.writer, home)
    assert found is not None
    return found


def entry(number: int, **detail: Any) -> Entry:
    return Entry(run="r1", step=f"s{number}", phase=Phase.BEFORE, detail=detail)


async def test_what_was_written_is_read_by_whoever_leads_next(world: World, home: Home) -> None:
    assert await load_ledger(world.reader, world.writer, home) is None
    ledger = await begun(world, home, plan())
    await asyncio.gather(*(ledger.write(entry(n, n=n)) for n in range(20)))
    await ledger.revise("r1", Revision(plan=plan(2), changes=("node b is left out",)))
    await ledger.finish("r1", Outcome.INTERRUPTED)
    heir = await loaded(world, home)
    assert [each.detail.get("n") for each in heir.entries("r1")][:20] == list(range(20))
    assert heir.entries("r1", step=PLAN)[0].detail == {"changes": ["node b is left out"]}
    assert heir.entries("r1") == ledger.entries("r1")
    assert heir.record == ledger.record
    assert heir.record.plan == plan(2)
    assert heir.record.began_with == plan()
    assert heir.record.is_unfinished


async def test_many_entries_and_long_plans_are_spread(world: World, home: Home) -> None:
    # Compressed it is still larger than one ConfigMap may be.
    effect = "".join(map(chr, range(0x4E00, 0x9FFF)))
    long = plan(60, effect)
    made = Plan(
        procedure="maintain",
        request={"nodes": [f"{n}{effect[n:]}{effect[:n]}" for n in range(0, 20000, 500)]},
        steps=long.steps,
    )
    ledger = await begun(world, home, made)
    for n in range(12):
        await ledger.write(entry(n, text="x" * 20_000))
    maps = await world.reader.list(
        CONFIG_MAPS, namespace=world.name, label_selector=f"{LABEL}={home.name}"
    )
    pages = [each for each in maps.items if any(key.startswith("e0") for key in each.data)]
    assert len(pages) > 3
    assert max(sum(map(len, each.data.values())) for each in pages) < 100_000
    heir = await loaded(world, home)
    assert heir.record.plan == made
    assert heir.entries("r1") == ledger.entries("r1")


async def test_two_do_not_write_one_journal(world: World, home: Home) -> None:
    replaced = await begun(world, home, plan())
    await replaced.write(entry(0))
    leader = await loaded(world, home)
    await leader.write(entry(1))
    with pytest.raises(JournalError, match="another process"):
        await replaced.write(entry(2))
    with pytest.raises(JournalError, match="another process"):
        await replaced.finish("r1", Outcome.SUCCEEDED)
    await leader.write(entry(3))
    heir = await loaded(world, home)
    assert [each.step for each in heir.entries("r1")] == ["s0", "s1", "s3"]
    assert heir.record.outcome is None


async def test_a_label_of_somebodys_is_no_other_writer(world: World, home: Home) -> None:
    ledger = await begun(world, home, plan())
    labels = {"metadata": {"labels": {"seen-by": "somebody"}}}
    await world.writer.patch(CONFIG_MAPS, home.name, labels, namespace=home.namespace)
    await ledger.write(entry(0))
    assert len((await loaded(world, home)).entries("r1")) == 1


class LosingWriter(Writer):
    """A writer of whose patches the first answer is lost."""

    is_lossy = True

    async def patch(self, *arguments: Any, **details: Any) -> Any:
        answer = await super().patch(*arguments, **details)
        if self.is_lossy:
            self.is_lossy = False
            raise UnreachableError("lost", reason="Unreachable", hint="", was_sent=True)
        return answer


async def test_an_answer_that_is_lost_writes_nothing_twice(world: World, home: Home) -> None:
    await begun(world, home, plan())
    writer = LosingWriter(world.connection)
    ledger = await load_ledger(world.reader, writer, home)
    assert ledger is not None
    await ledger.write(entry(0))
    await ledger.write(entry(1))
    assert [each.step for each in (await loaded(world, home)).entries("r1")] == ["s0", "s1"]


async def test_a_journal_that_is_gone_is_an_error(world: World, home: Home) -> None:
    ledger = await begun(world, home, plan())
    await world.writer.delete(CONFIG_MAPS, home.name, namespace=home.namespace)
    with pytest.raises(JournalError, match="is gone"):
        await ledger.write(entry(0))


@pytest.mark.parametrize(
    ("page", "spoilt"),
    [
        ("run", {"data": {"run": None}}),
        ("run", {"data": {"run": "{}"}}),
        ("run", {"data": {"e00000001": "[{"}}),
        ("run-plan-0", {"binaryData": {"plan": None}}),
        ("run-plan-0", {"binaryData": {"plan": "AAAA"}}),
    ],
)
async def test_a_journal_that_somebody_changed_is_an_error(
    world: World, home: Home, page: str, spoilt: dict[str, Any]
) -> None:
    await begun(world, home, plan())
    await world.writer.patch(CONFIG_MAPS, page, spoilt, namespace=home.namespace)
    with pytest.raises(JournalError, match="somebody changed it"):
        await load_ledger(world.reader, world.writer, home)
