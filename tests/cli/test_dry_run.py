"""A dry run writes nothing, ever: the audit log and the objects themselves are the witnesses."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.cordon import cordon
from tests.cli.user import User
from tests.nodes.world import World


async def objects(world: World) -> Mapping[str, object]:
    """Everything that a command could change; of nodes, whose kubelets write too, what matters."""
    pods = {pod.key: pod.metadata.resource_version for pod in await world.pods()}
    nodes = {name: await world.reader.get(NODES, name) for name in world.nodes}
    return pods | {name: (node.spec, node.metadata.annotations) for name, node in nodes.items()}


@pytest.mark.parametrize(
    "command",
    [
        ("cordon", "--dry-run"),
        ("cordon", "--dry-run=client"),
        ("uncordon", "--dry-run=client"),
        ("drain", "--dry-run=client"),
        ("drain", "--dry-run=client", "-o", "json"),
        ("drain", "--explain"),
        ("maintain", "--dry-run=client", "--command", "touch {directory}/ran"),
    ],
    ids=lambda command: "-".join(command[:2]),
)
async def test_client(world: World, tmp_path: Path, command: tuple[str, ...]) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    if "uncordon" in command:
        await cordon(world.reader, world.writer, name, owner="cordon")
    user, before = User(world.sandbox, tmp_path), await objects(world)
    verb, *flags = (word.format(directory=tmp_path) for word in command)
    done = await user.run(verb, name, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert user.writes() == []
    assert user.writes(dry=True) == []
    assert await objects(world) == before
    assert not (tmp_path / "ran").exists()
    assert not user.state.exists()


@pytest.mark.parametrize("verb", ["cordon", "uncordon", "drain"])
async def test_server(world: World, tmp_path: Path, verb: str) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
    if verb == "uncordon":
        await cordon(world.reader, world.writer, name, owner="cordon")
    user, before = User(world.sandbox, tmp_path), await objects(world)
    done = await user.run(verb, name, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert user.writes() == []
    # A drain sends the cordon and two evictions.
    assert len(user.writes(dry=True)) == (3 if verb == "drain" else 1)
    assert await objects(world) == before
    assert all(line.endswith(" (server dry run)") for line in done.stdout.splitlines())


async def test_a_server_that_would_refuse_is_heard(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 1, ready_after="1s"), world.deployment("free"))
    await world.apply(world.budget("web", max_unavailable=0))
    user = User(world.sandbox, tmp_path)
    # The pod selector leaves the budget's verdict to the server: its status may be a moment old.
    before = await objects(world)
    done = await user.run("drain", name, "--dry-run=server", "--disable-eviction")
    assert done.returncode == 0
    assert sum("delete" in each for each in user.writes(dry=True)) == 2
    assert await objects(world) == before
