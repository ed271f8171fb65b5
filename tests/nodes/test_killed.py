"""A maintenance killed with SIGKILL at every point of its journal, and run again.

By default at every third write, in turn before and after it; with SHIPKEEPER_EXHAUSTIVE=1 on both
sides of each.
"""

import itertools
import os
from collections import Counter

import msgspec

from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from tests.nodes.dying import KILLED, Request, in_process
from tests.nodes.test_cordon_rules import essence
from tests.nodes.world import World, settled

IS_EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
STRIDE = 1 if IS_EXHAUSTIVE else 3
PODS = 3


async def test_killed_at_every_journal_point_nothing_is_done_twice(newest_world: World) -> None:
    world = newest_world
    first, second, foreign = await world.add_nodes(3)
    # Cordoned by somebody else, with a taint and an annotation of theirs.
    theirs = {
        "metadata": {"annotations": {"example.com/why": "disk"}},
        "spec": {
            "unschedulable": True,
            "taints": [{"key": "example.com/disk", "value": "bad", "effect": "NoExecute"}],
        },
    }
    await world.writer.patch(NODES, foreign, theirs)
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": True}})
    await world.up(world.deployment("web", PODS), world.budget("web", max_unavailable=PODS))
    await world.writer.patch(NODES, second, {"spec": {"unschedulable": None}})
    await settled(world, (first, second, foreign))

    at, to, deaths = first, second, 0
    for point in itertools.count(1, STRIDE):
        sides = (False, True) if IS_EXHAUSTIVE else (point % 2 == 0,)
        died = [
            await kill_and_rerun(
                world, (to if is_written else at, foreign), point, is_written=is_written
            )
            for is_written in sides
        ]
        deaths += sum(died)
        if not any(died):
            break
    # Per node ten step entries, one of the boot ID, and two a pod; begin and finish.
    writes = 2 * 11 + 2 * PODS + 2
    assert deaths >= (2 * writes - 2 if IS_EXHAUSTIVE else writes // STRIDE)
    assert [name for name, times in Counter(world.accepted_evictions()).items() if times > 1] == []


async def kill_and_rerun(
    world: World, nodes: tuple[str, ...], point: int, *, is_written: bool
) -> bool:
    """Maintain until killed, then again to the end; False if the point was never reached."""
    before = [essence(await world.reader.get_raw(NODES, node)) for node in nodes]
    directory = world.directory / f"{point}-{is_written}"
    directory.mkdir()
    request = Request(
        kubeconfig=str(world.sandbox.kubeconfig),
        journal=str(directory / "journal.db"),
        nodes=nodes,
        options=MaintenanceOptions(
            drain=DrainOptions(), command=f'echo "$NODE_NAME" >> {directory}/commands'
        ),
        dies_at=point,
        is_written=is_written,
    )
    code = await in_process(request)
    assert code in (0, KILLED)
    if code == KILLED:
        again = msgspec.structs.replace(request, dies_at=0)
        assert await in_process(again) == 0, f"the rerun after point {point} failed"
    runs = Journal(directory / "journal.db").runs()
    # A kill right after the end was written leaves nothing to resume: the rerun is another run.
    assert all(run.outcome is Outcome.SUCCEEDED for run in runs)
    commands = Counter((directory / "commands").read_text().split())
    assert commands == dict.fromkeys(nodes, len(runs)), f"point {point}: {commands}"
    await settled(world, nodes)
    assert [essence(await world.reader.get_raw(NODES, node)) for node in nodes] == before
    assert await world.pods(nodes[0]) == []
    return code == KILLED
