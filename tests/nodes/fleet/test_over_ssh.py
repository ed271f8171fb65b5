"""Work on the hosts themselves, through a real sshd."""

from pathlib import Path

from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import STRATEGIC_PATCH
from tests.cli.user import User
from tests.hosts.sshd import SshServer
from tests.nodes.world import World


async def reachable(world: World, count: int) -> tuple[str, ...]:
    """Hollow nodes whose external address is this machine's."""
    names = await world.add_nodes(count)
    for name in names:
        await world.writer.patch(
            NODES,
            name,
            {"status": {"addresses": [{"type": "ExternalIP", "address": "127.0.0.1"}]}},
            subresource="status",
            content_type=STRATEGIC_PATCH,
        )
    return names


def over_ssh(server: SshServer, script: Path) -> tuple[str, ...]:
    options = server.options()
    return (
        *("--ssh", str(script), "--ssh-user", options.user, "--ssh-port", str(options.port)),
        *("--ssh-key", str(options.identities[0]), "--ssh-address", "external"),
        *("--ssh-known-hosts", str(options.known_hosts)),
    )


async def test_a_script_runs_once_on_every_host(newest_world: World, tmp_path: Path) -> None:
    world, script = newest_world, tmp_path / "work.sh"
    nodes = await reachable(world, 2)
    async with SshServer() as server:
        log = server.home / "worked"
        script.write_text(f'echo "$NODE_NAME" >> {log}; echo "hello from $NODE_NAME"\n')
        user = User(world.sandbox, tmp_path)
        done = await user.run(
            "maintain", "run", *nodes, *over_ssh(server, script), "--max-unavailable", "2"
        )
        assert done.returncode == 0, done.stderr
        assert sorted(log.read_text().split()) == sorted(nodes)
    assert f"{nodes[0]}: hello from {nodes[0]}" in done.stderr
    assert not (await world.node(nodes[0])).spec.unschedulable


async def test_a_failing_host_is_named_and_stays_cordoned(
    newest_world: World, tmp_path: Path
) -> None:
    world, script = newest_world, tmp_path / "work.sh"
    nodes = await reachable(world, 2)
    script.write_text("echo no space left; exit 9\n")
    async with SshServer() as server:
        done = await User(world.sandbox, tmp_path).run(
            "maintain", "run", *nodes, *over_ssh(server, script)
        )
    assert done.returncode == 1
    assert "127.0.0.1: it ended with exit code 9: no space left" in done.stderr
    assert (await world.node(nodes[0])).spec.unschedulable
    assert not (await world.node(nodes[1])).spec.unschedulable


async def test_a_wrong_host_key_stops_before_anything_runs(
    newest_world: World, tmp_path: Path
) -> None:
    world, script = newest_world, tmp_path / "work.sh"
    (node,) = await reachable(world, 1)
    async with SshServer() as server:
        script.write_text(f"touch {server.home}/ran\n")
        known = tmp_path / "known_hosts"
        known.write_text("")
        arguments = [*over_ssh(server, script)]
        arguments[-1] = str(known)
        done = await User(world.sandbox, tmp_path).run("maintain", "run", node, *arguments)
        assert done.returncode == 1
        assert "known_hosts" in done.stderr
        assert not (server.home / "ran").exists()
