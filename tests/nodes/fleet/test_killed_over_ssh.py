"""A maintenance over SSH killed at every program that it runs on a host, then run again."""

from collections import Counter
from pathlib import Path

import msgspec

from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, SshAccess
from tests.hosts.sshd import SshServer
from tests.nodes.calls import HOST, Call
from tests.nodes.dying import KILLED, Request, in_process
from tests.nodes.fleet.test_killed_fleet import calls_of, lock_holder, outcomes, state_of
from tests.nodes.fleet.test_over_ssh import reachable
from tests.nodes.world import World, settled

SCRIPT = 'echo "$NODE_NAME" >> {log}; sleep 0.2; echo done\n'


def access(server: SshServer) -> SshAccess:
    options = server.options()
    return SshAccess(
        user=options.user,
        port=options.port,
        identities=tuple(map(str, options.identities)),
        use_agent=False,
        known_hosts=str(options.known_hosts),
        address="external",
    )


def request(world: World, server: SshServer, nodes: tuple[str, ...], attempt: str) -> Request:
    """A maintenance whose script leaves a line for each time that it runs."""
    directory = world.directory / attempt
    directory.mkdir()
    script = directory / "work.sh"
    script.write_text(SCRIPT.format(log=server.home / attempt))
    return Request(
        kubeconfig=str(world.sandbox.kubeconfig),
        journal=str(directory / "journal.db"),
        nodes=nodes,
        options=MaintenanceOptions(
            drain=DrainOptions(), ssh=access(server), work=str(script), max_unavailable="2"
        ),
        notes=str(directory / "calls"),
    )


async def test_killed_at_every_program_on_a_host_the_script_runs_once(newest_world: World) -> None:
    world = newest_world
    nodes = await reachable(world, 2)
    await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
    await settled(world, nodes)
    before = await state_of(world, nodes)
    async with SshServer() as server:
        whole = request(world, server, nodes, "whole")
        assert await in_process(whole) == 0
        count = calls_of(whole)[HOST]
        # At the least each host is asked what it knows and told to begin.
        assert count >= 2 * len(nodes)
        deaths = 0
        for number in range(1, count + 1):
            for is_answered in (False, True):
                call = Call(purpose=HOST, number=number, is_answered=is_answered)
                mortal = request(world, server, nodes, f"{number}-{is_answered}")
                code = await in_process(msgspec.structs.replace(mortal, dies_at_call=call))
                assert code in (0, KILLED), call
                deaths += code == KILLED
                if code == KILLED:
                    assert await in_process(mortal) == 0, f"the rerun after {call} failed"
                assert outcomes(mortal) == [Outcome.SUCCEEDED]
                log = (server.home / f"{number}-{is_answered}").read_text()
                assert Counter(log.split()) == dict.fromkeys(nodes, 1), call
                (run,) = Journal(Path(mortal.journal)).runs()
                kept = world.directory / f"{number}-{is_answered}" / "runs" / run.id
                assert {(kept / node / "output.log").read_text() for node in nodes} == {"done\n"}
                await settled(world, nodes)
                assert await state_of(world, nodes) == before
                assert await lock_holder(world) == ""
    assert deaths >= 2 * len(nodes)
    evicted = Counter(world.accepted_evictions())
    assert [pod for pod, times in evicted.items() if times > 1] == []
