"""`shipkeeper drain`: kubectl's words, and what goes beyond them."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.cli.run import SHIPKEEPER
from tests.cli.user import User
from tests.nodes.world import World


def events(stderr: str) -> list[dict[str, Any]]:
    """The JSON lines among the talk."""
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


async def test_the_words_are_kubectls(world: World, tmp_path: Path) -> None:
    first, _ = await world.add_nodes(2)
    here = {"kubernetes.io/hostname": first}
    await world.up(world.deployment("web", node_selector=here))
    (pod,) = await world.pods(first)
    done = await User(world.sandbox, tmp_path).run("drain", first)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"node/{first} cordoned",
        f"evicting pod {pod.key}",
        f"pod/{pod.name} evicted",
        f"node/{first} drained",
    ]
    told = events(done.stderr)
    assert told[0]["type"] == "run"
    assert told[-1] == {**told[-1], "type": "done", "step": f"{first}/drain"}
    states = [each["state"] for each in told if each["type"] == "item"]
    assert states == ["Evicting", "Gone"]


async def test_deleting_is_called_so(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.bare_pod("a"))
    done = await User(world.sandbox, tmp_path).run("drain", name, "--force", "--disable-eviction")
    assert done.stdout.splitlines()[1:-1] == ["pod/a deleted"]
    assert f"Warning: deleting Pods that declare no controller: {world.name}/a" in done.stderr


async def test_a_waiting_pod_is_told_once_with_its_reason(world: World, tmp_path: Path) -> None:
    first, _ = await world.add_nodes(2)
    await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
    for pod in await world.pods():
        assert pod.spec.node_name
    done = await User(world.sandbox, tmp_path).run("drain", *world.nodes, "--timeout=2s")
    waited = [line for line in done.stderr.splitlines() if line.startswith("error when evicting")]
    assert all("(will retry when its budget allows): " in line for line in waited)
    assert len(waited) >= 1
    assert first


async def test_some_refused_and_some_drained_is_incomplete(world: World, tmp_path: Path) -> None:
    first, second = await world.add_nodes(2)
    await world.up(world.bare_pod("a", node_selector={"kubernetes.io/hostname": first}))
    user = User(world.sandbox, tmp_path)
    done = await user.run("drain", first, second)
    assert done.returncode == 3
    assert f"node/{second} drained" in done.stdout
    refusal = "cannot delete Pods that declare no controller (use --force to override)"
    assert (
        f'error: unable to drain node "{first}" due to error: {refusal}: {world.name}/a, '
        "continuing command..."
    ) in done.stderr
    assert f"There are pending nodes to be drained:\n {first}\n" in done.stderr
    assert not (await world.node(first)).spec.unschedulable


async def test_results_as_json(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.bare_pod("a"))
    user = User(world.sandbox, tmp_path)
    planned = json.loads((await user.run("drain", name, "--dry-run=client", "-o", "json")).stdout)
    assert [verdict["reason"] for verdict in planned["verdicts"]] == ["PodsRefused", "Unreplicated"]
    explained = json.loads((await user.run("drain", name, "--explain", "-o", "json")).stdout)
    assert explained["items"][0]["pods"][0]["verdicts"][0]["remedy"]
    result = json.loads((await user.run("drain", name, "--force", "-o", "json")).stdout)
    assert (result["outcome"], result["podsMoved"]) == ("Succeeded", 1)
    listed = json.loads((await user.run("nodes", name, "-o", "json")).stdout)
    assert listed["items"][0]["cordonedBy"] == f"drain/{result['run']}"


async def test_nothing_selected_is_nothing_done(world: World, tmp_path: Path) -> None:
    user = User(world.sandbox, tmp_path)
    for command in ("cordon", "drain", "nodes"):
        done = await user.run(command, "-l", f"no-such-label={world.name}")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "No resources found\n"


async def test_small_pages_and_none(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 3))
    user = User(world.sandbox, tmp_path)
    for size in ("1", "0"):
        done = await user.run(
            "drain", name, f"--chunk-size={size}", "--dry-run=client", "-o", "json"
        )
        (drain,) = (step for step in json.loads(done.stdout)["steps"] if step["action"] == "drain")
        assert len(drain["items"]) == 3


async def test_ctrl_c_stops_safely_and_the_same_command_goes_on(
    world: World, tmp_path: Path
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    (pod,) = await world.pods(name)
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, name)
    user = User(world.sandbox, tmp_path)
    running = await asyncio.create_subprocess_exec(
        SHIPKEEPER,
        "drain",
        name,
        env={
            **os.environ,
            "KUBECONFIG": str(user.kubeconfig),
            "XDG_STATE_HOME": str(user.state),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    while b"evicting pod" not in await running.stdout.readline():
        pass
    running.send_signal(signal.SIGINT)
    _, talk = await asyncio.wait_for(running.communicate(), 60)
    error, hint = talk.decode().splitlines()[-2:]
    run = json.loads((await user.run("runs", "-o", "json")).stdout)["items"][0]
    assert running.returncode == 130
    assert error == (
        f"error: interrupted: run {run['id']} stopped safely at: "
        f"{name} Draining (0 of 1 pods moved)"
    )
    assert f"shipkeeper resume {run['id']}" in hint
    assert run["outcome"] == "Interrupted"

    await asyncio.to_thread(world.sandbox.hollow.release_deletions, name)
    again = await user.run("drain", name)
    assert again.returncode == 0, again.stderr
    assert f"run {run['id']}: going on where it was interrupted" in again.stderr
    assert again.stdout.splitlines()[-1] == f"node/{name} drained"
    assert world.accepted_evictions() == [pod.name]
