"""Bad input to a real cluster: one clear line, a hint, an exit code, and nothing is written."""

import asyncio
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.user import User
from tests.nodes.world import World

COMMANDS = (
    ("cordon",),
    ("uncordon",),
    ("drain", "--ignore-daemonsets"),
    ("maintain", "--wait=1s"),
)


def assert_refused(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    """One line that says what is wrong, one that says what to do, and nothing on stdout."""
    lines = done.stderr.splitlines()
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert lines[-2].startswith("error: ")
    assert lines[-1].startswith("hint: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[-2]


@pytest.fixture
def user(newest: Sandbox, tmp_path: Path) -> User:
    """An administrator."""
    return User(newest, tmp_path)


async def test_an_unknown_node(user: User) -> None:
    for done in await run_each(user, "no-such-node"):
        assert_refused(done, 1, 'nodes "no-such-node" not found')
    assert user.writes() == []


async def run_each(user: User, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """Run every command that changes nodes."""
    return await asyncio.gather(*(user.run(*command, *arguments) for command in COMMANDS))


async def test_a_name_with_a_selector(user: User) -> None:
    for done in await run_each(user, "a", "-l", "b=c"):
        assert_refused(done, 2, "cannot specify both a node name and a --selector option")
    assert user.writes() == []


async def test_a_bad_selector(user: User) -> None:
    for done in await run_each(user, "-l", "a b"):
        assert_refused(done, 2, "cannot read the label selector")
    assert user.writes() == []


async def test_no_permission_to_read(newest: Sandbox, tmp_path: Path) -> None:
    nobody = User(newest, tmp_path, groups=())
    for done in await run_each(nobody, "a"):
        assert_refused(done, 1, 'not allowed to get nodes "a"')
    assert nobody.writes() == []


async def test_no_permission_to_list(newest: Sandbox, tmp_path: Path) -> None:
    nobody = User(newest, tmp_path, groups=())
    assert_refused(await nobody.run("nodes"), 1, "not allowed to list nodes")


@pytest.mark.parametrize(
    ("allowed", "missing"),
    [
        ((), "patch nodes"),
        (("patch nodes",), "patch leases in namespace"),
        (("patch nodes", "patch leases"), "create pods/eviction in namespace"),
    ],
)
async def test_no_permission_to_do_the_last_step_stops_before_the_first(
    world: World, tmp_path: Path, allowed: tuple[str, ...], missing: str
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    user = User(world.sandbox, tmp_path, groups=())
    await grant(world, user.name, "get,list,watch *", *allowed)
    done = await user.run("drain", name)
    assert_refused(done, 1, f"not allowed to {missing}", "nothing was begun")
    assert user.writes() == []


async def grant(world: World, user: str, *permissions: str) -> None:
    """Allow a user `verb,verb resource` everywhere."""
    rules = [
        {"apiGroups": ["*"], "verbs": verbs.split(","), "resources": [resource]}
        for verbs, resource in (each.split() for each in permissions)
    ]
    path = "/apis/rbac.authorization.k8s.io/v1"
    role = {"metadata": {"name": user}, "rules": rules}
    await world.connection.send("POST", f"{path}/clusterroles", body=role)
    binding = {
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    await world.connection.send("POST", f"{path}/clusterrolebindings", body=binding)


async def test_impersonation_loses_permissions(user: User) -> None:
    done = await user.run("nodes", "--as", "somebody", "--as-group", "somewhere")
    assert_refused(done, 1, 'User "somebody" cannot list resource "nodes"')
    allowed = await user.run("nodes", "--as", "somebody", "--as-group", "system:masters")
    assert allowed.returncode == 0


async def test_an_expired_certificate(newest: Sandbox, tmp_path: Path) -> None:
    late = User(newest, tmp_path, not_after=datetime.now(UTC) - timedelta(days=1))
    for done in await run_each(late, "a"):
        assert_refused(done, 1, "client certificate", "expired at")
    assert late.writes() == []


async def test_an_unreachable_server(user: User) -> None:
    text = user.kubeconfig.read_text()
    elsewhere = user.kubeconfig.with_suffix(".elsewhere")
    # Port 1 of loopback: nobody listens there.
    elsewhere.write_text(text.replace(server_of(text), "https://127.0.0.1:1"))
    for done in await run_each(user, "a", "--kubeconfig", str(elsewhere)):
        assert_refused(done, 1, "cannot reach the API server at https://127.0.0.1:1")


def server_of(kubeconfig: str) -> str:
    (line,) = (line for line in kubeconfig.splitlines() if "server:" in line)
    return line.partition("server:")[2].strip()


async def test_a_context_that_is_not_there(user: User) -> None:
    assert_refused(await user.run("nodes", "--context", "nowhere"), 1, "no context 'nowhere'")


@pytest.mark.parametrize("command", [COMMANDS[2], COMMANDS[3]], ids=lambda command: command[0])
async def test_a_budget_that_can_never_be_met(
    world: World, user: User, command: tuple[str, ...]
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 2), world.budget("web", min_available=2))
    done = await user.run(*command, name)
    assert_refused(done, 5, "PodDisruptionBudget web allows no disruption")
    assert user.writes() == []
    assert not (await world.node(name)).spec.unschedulable


async def test_runs_that_are_not_there(user: User) -> None:
    for command in (("runs", "show"), ("resume",), ("abort",)):
        assert_refused(await user.run(*command, "drain-0"), 1, "no run drain-0 in the journal")


async def test_a_sandbox_that_is_not_there(user: User) -> None:
    for command in (("down",), ("kubeconfig",), ("status",)):
        done = await user.run("sandbox", *command, "no-such-sandbox")
        assert_refused(done, 1, "there is no sandbox no-such-sandbox")
