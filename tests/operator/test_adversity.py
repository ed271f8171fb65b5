"""The API server gone for long, and clocks that jump: noticed, told, and gone on from."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from shipkeeper.kube.resources import NODES
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW, MaintenanceWindowStatus
from tests.nodes.world import World
from tests.operator.harbour import AFTER_DEATH, Harbour

# As long as the leader waits for the API server: as an operator does with SHIPKEEPER_EXHAUSTIVE=1.
PATIENCE = 600.0 if os.environ.get("SHIPKEEPER_EXHAUSTIVE") else 5.0


async def test_it_goes_on_after_the_api_server_was_gone_for_longer_than_it_leads(
    world: World, harbour: Harbour
) -> None:
    nodes = await world.add_nodes(3)
    await harbour.writer.patch(NODES, nodes[2], {"spec": {"unschedulable": True}})
    await world.up(world.deployment("web", 4), world.budget("web", max_unavailable=1))
    leader = harbour.start(patience=PATIENCE)
    await leader.leads()
    other = harbour.start(patience=PATIENCE)
    await other.says("standing by")
    await harbour.maintain("away", nodes, action={"wait": "2s"})
    await harbour.stands("away", lambda status: bool(status.under_way))
    await asyncio.to_thread(world.sandbox.stop_component, "kube-apiserver")
    try:
        await leader.says("leads no more", within=PATIENCE + AFTER_DEATH)
    finally:
        await asyncio.to_thread(world.sandbox.start_component, "kube-apiserver")
    await harbour.reaches("away", "Succeeded", within=AFTER_DEATH)
    assert ("away", "Resumed") in await harbour.events()
    evicted = world.accepted_evictions()
    assert len(evicted) == len(set(evicted))
    assert [(await world.node(each)).spec.unschedulable for each in nodes] == [False, False, True]


def set_clock(file: Path, seconds: float) -> None:
    """Let a replica's clock be wrong by so much; it never reads half of that."""
    written = file.with_suffix(".written")
    written.write_text(str(seconds))
    written.rename(file)


async def test_windows_follow_the_clock_when_it_is_set(
    world: World, harbour: Harbour, tmp_path: Path
) -> None:
    nodes = await world.add_nodes(2)
    clock, wrong = tmp_path / "clock", tmp_path / "wrong"
    set_clock(clock, 0)
    set_clock(wrong, 86400)
    leader = harbour.start(clock=str(clock))
    await leader.leads()
    other = harbour.start(clock=str(wrong))
    await other.says("standing by")
    now = datetime.now(UTC)
    opens = (now + timedelta(hours=6)).replace(minute=0)
    await harbour.create(
        MAINTENANCE_WINDOW, "later", {"cron": f"0 {opens.hour} * * *", "length": "1h"}
    )
    await harbour.kubectl("wait", "--for=condition=Open=false", "mw/later", "--timeout=400s")
    await harbour.maintain("timed", nodes, windows=["later"])
    waiting = await harbour.reaches("timed", "Running")
    assert not waiting.under_way
    set_clock(clock, (opens + timedelta(minutes=30) - now).total_seconds())
    await harbour.kubectl("wait", "--for=condition=Open", "mw/later", "--timeout=400s")
    await harbour.reaches("timed", "Succeeded")
    assert "the clock was set forward by" in leader.said
    set_clock(clock, 0)
    await harbour.kubectl("wait", "--for=condition=Open=false", "mw/later", "--timeout=400s")
    assert "the clock was set back by" in leader.said
    found = await harbour.reader.get(MAINTENANCE_WINDOW.resource, "later")
    status = msgspec.json.decode(found.status, type=MaintenanceWindowStatus)
    assert status.opens_at is not None
    assert status.opens_at - opens < timedelta(minutes=1)
    # A clock that is wrong by a day makes nobody a leader.
    assert all(line.startswith("standing by") for line in other.said.splitlines())
    assert "hands over" not in leader.said
