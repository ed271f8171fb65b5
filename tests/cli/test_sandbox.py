"""`shipkeeper sandbox`, on a sandbox that is there already."""

import json
import subprocess

from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import run_cli
from tests.nodes.world import World


async def run(sandbox: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await run_cli(sandbox, "sandbox", *arguments)


async def test_the_kubeconfig_is_a_path_for_the_shell(newest: Sandbox) -> None:
    done = await run(newest, "kubeconfig", newest.name)
    assert done.stdout == f"{newest.kubeconfig}\n"


async def test_status(newest: Sandbox) -> None:
    found = json.loads((await run(newest, "status", newest.name, "-o", "json")).stdout)
    (one,) = found["items"]
    assert (one["name"], one["state"], one["server"]) == (newest.name, "Running", newest.server)
    assert set(one["components"].values()) == {"Running"}
    assert newest.name in (await run(newest, "status")).stdout


async def test_up_leaves_one_that_runs_as_it_is(newest: Sandbox) -> None:
    before = newest.status()
    done = await run(newest, "up", newest.name, "--kubernetes-version", newest.version, "--nodes=0")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert newest.status() == before
    other = await run(newest, "up", newest.name, "--kubernetes-version", "v1.20.2", "--nodes=0")
    assert other.returncode == 2


async def test_hosts_misbehave_when_told_to(world: World) -> None:
    (name,) = await world.add_nodes(1)
    for action, field, expected in (
        ("stop-heartbeat", "heartbeats", False),
        ("resume-heartbeat", "heartbeats", True),
        ("hang-deletions", "hangs_deletions", True),
        ("release-deletions", "hangs_deletions", False),
    ):
        done = await run(world.sandbox, "host", action, name, "--sandbox", world.sandbox.name)
        assert done.returncode == 0, done.stderr
        (report,) = (node for node in world.sandbox.hollow.nodes() if node.name == name)
        assert getattr(report.behaviour, field) is expected
