"""Work on hosts through a pod: real API servers, the pods' host is one of the tests' own."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.progress import Note
from shipkeeper.kube.resources import NAMESPACES, PODS, Resource
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, PodAccess
from shipkeeper.nodes.pod_host import PodRefusedError, create_pod
from shipkeeper.nodes.work_pod import RUN_LABEL, pod_name
from tests.cli.run import SHIPKEEPER
from tests.cli.user import User
from tests.hosts.sshd import SshServer
from tests.nodes.kubelet import Kubelet
from tests.nodes.world import World

RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", KubeObject, namespaced=False)
BINDINGS = Resource(
    RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", KubeObject, namespaced=False
)


@pytest.fixture
async def kubelet() -> AsyncIterator[Kubelet]:
    async with SshServer() as host, Kubelet(host) as found:
        yield found


async def nodes_of(world: World, kubelet: Kubelet, count: int) -> tuple[str, ...]:
    names = await world.add_nodes(count)
    await kubelet.given(world.writer, *names)
    return names


def through_pod(world: World, script: Path, **wishes: Any) -> MaintenanceOptions:
    return MaintenanceOptions(
        drain=DrainOptions(),
        work=str(script),
        pod=PodAccess(image="none", namespace=world.name, start_timeout=20.0),
        **wishes,
    )


def everything_in(directory: Path) -> str:
    files = (path for path in directory.rglob("*") if path.is_file())
    return "".join(path.read_text("utf-8", "replace") for path in files)


async def work_pods(world: World) -> list[Pod]:
    found = await world.reader.list(PODS, namespace=world.name, label_selector=RUN_LABEL)
    return [pod for pod in found.items if not pod.is_deleting]


async def test_a_script_runs_on_each_host_and_no_pod_is_left(
    world: World, kubelet: Kubelet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, script = await nodes_of(world, kubelet, 2), tmp_path / "work.sh"
    log = kubelet.host.home / "worked"
    # A long script comes in several messages; what follows the program must not be waited for.
    script.write_text(
        f'echo "$NODE_NAME $RUN" >> {log}\necho "on $NODE_NAME with $PASS"\n'
        f"echo problem >&2; cat; {'# long' * 20_000}\n"
    )
    monkeypatch.setenv("PASS", "open-sesame")
    done = await User(world.sandbox, tmp_path).run(
        *("maintain", "run", *nodes, "--pod", str(script), "--pod-namespace", world.name),
        *("--max-unavailable", "2", "--secret-env", "PASS"),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[0] for line in log.read_text().splitlines()) == sorted(nodes)
    assert f"{nodes[0]}: on {nodes[0]} with •••" in done.stderr
    assert f"{nodes[0]}: problem" in done.stderr
    assert await work_pods(world) == []
    assert "with •••" in everything_in(tmp_path)
    assert "open-sesame" not in everything_in(tmp_path)
    assert not (await world.node(nodes[0])).spec.unschedulable


@pytest.mark.parametrize("lifetime", [None, 21_600.0])
async def test_a_pod_ends_by_itself_only_if_it_is_given_a_lifetime(
    world: World, lifetime: float | None
) -> None:
    (node,) = await world.add_nodes(1)
    access = PodAccess(image="none", namespace=world.name, lifetime=lifetime)
    await create_pod(world.writer, "some-run", node, access)
    found = await world.reader.get_raw(PODS, pod_name("some-run", node), world.name)
    assert found["spec"].get("activeDeadlineSeconds") == lifetime


async def test_a_dropped_connection_neither_loses_nor_repeats_the_work(
    world: World, kubelet: Kubelet, tmp_path: Path
) -> None:
    (node,), script = await nodes_of(world, kubelet, 1), tmp_path / "work.sh"
    home = kubelet.host.home
    script.write_text(
        f"echo x >> {home}/count; until [ -e {home}/go ]; do sleep 0.1; done; echo over\n"
    )
    running = asyncio.create_task(world.maintain(node, options=through_pod(world, script)))
    async with asyncio.timeout(60):
        while not (home / "count").exists() or not kubelet.drop():
            assert not running.done(), await running
            await asyncio.sleep(0.1)
    (home / "go").touch()
    assert (await running).outcome is Outcome.SUCCEEDED
    assert (home / "count").read_text() == "x\n"
    said = [event.message for event in world.events if isinstance(event, Note)]
    assert any("trying again" in line for line in said)
    assert f"{node}: over" in said
    assert await work_pods(world) == []


async def start(user: User, *arguments: str) -> asyncio.subprocess.Process:
    environment = {"KUBECONFIG": str(user.kubeconfig), "XDG_STATE_HOME": str(user.state)}
    return await asyncio.create_subprocess_exec(
        *(SHIPKEEPER, *arguments),
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )


@pytest.mark.parametrize("way", ["resume", "abort"])
async def test_killed_in_mid_work_it_is_followed_or_given_up(
    newest_world: World, kubelet: Kubelet, tmp_path: Path, way: str
) -> None:
    world, script, home = newest_world, tmp_path / "work.sh", kubelet.host.home
    (node,) = await nodes_of(world, kubelet, 1)
    script.write_text(f"echo x >> {home}/count; until [ -e {home}/go ]; do sleep 0.1; done\n")
    user = User(world.sandbox, tmp_path)
    run = ("maintain", "run", node, "--pod", str(script), "--pod-namespace", world.name)
    killed = await start(user, *run)
    async with asyncio.timeout(60):
        while not (home / "count").exists():
            assert killed.returncode is None
            await asyncio.sleep(0.1)
    killed.kill()
    await killed.wait()
    assert len(await work_pods(world)) == 1
    # It is no reason to refuse a drain, and a drain leaves it alone.
    plan = await world.plan(node)
    assert plan.blockers == ()
    assert [item.action for step in plan.steps for item in step.items] == ["Skip"]
    if way == "abort":
        early = await user.run("maintain", "abort")
        assert early.returncode == 5, early.stderr
        assert f"node/{node}: its work still runs, so it stays cordoned" in early.stderr
        assert (await world.node(node)).spec.unschedulable
    (home / "go").touch()
    async with asyncio.timeout(60):
        while (done := await user.run("maintain", way)).returncode == 5:
            await asyncio.sleep(0.1)
    assert done.returncode == 0, done.stderr
    assert (home / "count").read_text() == "x\n"
    assert await work_pods(world) == []
    assert not (await world.node(node)).spec.unschedulable


async def test_each_way_to_fail_has_its_verdict(
    newest_world: World, kubelet: Kubelet, tmp_path: Path
) -> None:
    world, script = newest_world, tmp_path / "work.sh"
    node, other = await nodes_of(world, kubelet, 2)
    script.write_text("echo no space left; exit 9\n")

    # A cluster that does not admit it says so before anything is begun.
    baseline = {"pod-security.kubernetes.io/enforce": "baseline"}
    await world.writer.patch(NAMESPACES, world.name, {"metadata": {"labels": baseline}})
    with pytest.raises(PodRefusedError, match="violates PodSecurity"):
        await world.maintain(node, options=through_pod(world, script))
    label = {"pod-security.kubernetes.io/enforce": None}
    await world.writer.patch(NAMESPACES, world.name, {"metadata": {"labels": label}})
    absent = PodAccess(image="none", namespace="no-such-namespace")
    options = msgspec.structs.replace(through_pod(world, script), pod=absent)
    with pytest.raises(PodRefusedError, match="no namespace no-such-namespace"):
        await world.maintain(node, options=options)
    assert not (await world.node(node)).spec.unschedulable
    assert world.journal.runs() == []

    # A kubelet that does not run it.
    kubelet.refuses_with = "runtime is down"
    result = await world.maintain(node, options=through_pod(world, script))
    (verdict,) = result.failures
    assert verdict.reason == "HostUnreachable"
    assert "runtime is down" in verdict.message
    kubelet.refuses_with = ""

    # Work that fails.
    result = await world.maintain(other, options=through_pod(world, script))
    (verdict,) = result.failures
    assert verdict.reason == "CommandFailed"
    assert verdict.message == f"{other}: it ended with exit code 9: no space left"
    assert await work_pods(world) == []
    assert (await world.node(other)).spec.unschedulable


async def test_who_may_not_exec_is_told_before_anything_is_begun(
    newest_world: World, tmp_path: Path
) -> None:
    world, script = newest_world, tmp_path / "work.sh"
    (node,) = await world.add_nodes(1)
    script.write_text("true\n")
    role, binding = may_all_but_exec(world.name)
    await world.writer.create(ROLES, role)
    await world.writer.create(BINDINGS, binding)
    user = User(world.sandbox, tmp_path, groups=(world.name,))
    done = await user.run(
        *("maintain", "run", node, "--pod", str(script), "--pod-namespace", world.name)
    )
    assert done.returncode == 1
    assert "not allowed to get pods/exec" in done.stderr
    assert user.writes() == []


def may_all_but_exec(group: str) -> tuple[dict[str, Any], ...]:
    readable = ["nodes", "pods", "leases", "namespaces", "daemonsets", "poddisruptionbudgets"]
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": group},
        "rules": [
            {"apiGroups": ["*"], "resources": readable, "verbs": ["get", "list", "watch"]},
            {
                "apiGroups": ["", "coordination.k8s.io"],
                "resources": ["nodes", "pods", "pods/eviction", "leases", "events"],
                "verbs": ["create", "patch", "update", "delete"],
            },
        ],
    }
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": group},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": group},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
    }
    return role, binding
