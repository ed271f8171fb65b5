"""`shipkeeper maintain`: node after node, through a reboot with another kernel."""

import json
from pathlib import Path

from tests.cli.run import SHIPKEEPER
from tests.cli.user import User
from tests.nodes.world import World


async def test_nodes_come_back_with_another_kernel(world: World, tmp_path: Path) -> None:
    names = await world.add_nodes(2)
    await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
    before = [(await world.node(name)).status.node_info for name in names]
    user = User(world.sandbox, tmp_path)
    # The command speaks to a sandbox, which is found under the state directory of the tests.
    state = world.sandbox.directory.parents[2]
    reboot = (
        f"XDG_STATE_HOME={state} {SHIPKEEPER} sandbox host reboot --sandbox {world.sandbox.name} "
        '"$NODE_NAME" --kernel-version 6.12.9 --down-for 1s'
    )
    done = await user.run(
        "maintain",
        "-l",
        f"world={world.name}",
        "--command",
        reboot,
        "--expect-reboot",
        "-o",
        "json",
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert [(node["node"], node["state"]) for node in summary["nodes"]] == [
        (name, "Done") for name in names
    ]
    for name, then in zip(names, before, strict=True):
        node = await world.node(name)
        assert node.status.node_info.kernel_version == "6.12.9"
        assert node.status.node_info.boot_id != then.boot_id
        assert node.is_ready
        assert not node.spec.unschedulable


async def test_a_failed_command_stops_at_its_node(world: World, tmp_path: Path) -> None:
    first, second = await world.add_nodes(2)
    done = await User(world.sandbox, tmp_path).run(
        "maintain", first, second, "--command", "echo broken; exit 3"
    )
    assert done.returncode == 1
    assert "error: the command ended with exit code 3: broken" in done.stderr
    rows = [line.split()[:2] for line in done.stdout.splitlines()[1:3]]
    assert rows == [[first, "Failed"], [second, "Pending"]]
    assert (await world.node(first)).spec.unschedulable
    assert not (await world.node(second)).spec.unschedulable
