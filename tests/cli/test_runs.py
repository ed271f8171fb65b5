"""`shipkeeper runs`, `resume` and `abort`, after a drain that could not end."""

import asyncio
import json
from pathlib import Path

import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.test_bad_input import assert_refused
from tests.cli.user import User
from tests.nodes.world import World


@pytest.fixture
async def given_up(world: World, tmp_path: Path) -> tuple[User, str]:
    """A user, and the run of a drain that ended with a timeout."""
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, name)
    user = User(world.sandbox, tmp_path)
    done = await user.run("drain", name, "--timeout=1s")
    assert done.returncode == 1, done.stderr
    return user, (await user.run("runs", "-o", "name")).stdout.strip().removeprefix("run/")


async def test_a_run_is_shown_step_by_step(world: World, given_up: tuple[User, str]) -> None:
    user, run = given_up
    shown = json.loads((await user.run("runs", "show", run, "-o", "json")).stdout)
    (node,) = world.nodes
    assert [(step["id"], step["state"]) for step in shown["steps"]] == [
        (f"{node}/cordon", "Done"),
        (f"{node}/drain", "Failed"),
    ]
    assert shown["steps"][1]["reason"] == "GlobalTimeout"
    assert [item["state"] for item in shown["steps"][1]["items"]] == ["Begun"]
    assert shown["outcome"] == "Failed"
    assert "Failed" in (await user.run("runs")).stdout


async def test_abort_uncordons_what_the_run_cordoned(
    world: World, given_up: tuple[User, str]
) -> None:
    user, run = given_up
    (node,) = world.nodes
    assert (await world.node(node)).spec.unschedulable
    done = await user.run("abort", run)
    assert done.stdout.splitlines() == [f"node/{node} uncordoned", f"run/{run} aborted"]
    assert not (await world.node(node)).spec.unschedulable
    assert_refused(await user.run("abort", run), 2, "has ended: Aborted")


async def test_what_has_ended_is_not_resumed(given_up: tuple[User, str]) -> None:
    user, run = given_up
    assert_refused(await user.run("resume", run), 2, f"run {run} has ended: Failed")


async def test_a_run_stays_in_its_cluster(
    oldest: Sandbox, given_up: tuple[User, str], tmp_path: Path
) -> None:
    user, run = given_up
    elsewhere = User(oldest, tmp_path)
    done = await user.run("abort", run, "--kubeconfig", str(elsewhere.kubeconfig))
    assert_refused(done, 2, f"run {run} began in another cluster")
    assert elsewhere.writes() == []
