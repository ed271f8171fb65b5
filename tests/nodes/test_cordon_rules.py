"""Rules 1 to 3 and 24: cordoning."""

from typing import Any

import pytest

from shipkeeper.engine.journal import Outcome
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes.cordon import OWNER_ANNOTATION, cordon, owner_of, uncordon
from tests.cli.run import run_cli
from tests.faults.faults import LoseAnswer, refusal
from tests.faults.proxy import FaultProxy
from tests.nodes.world import World, without_controllers

UNTOUCHED = ("resourceVersion", "managedFields")


def essence(node: Any) -> Any:
    """A node without what the server itself counts on every change."""
    metadata = {k: v for k, v in node["metadata"].items() if k not in UNTOUCHED}
    return {"metadata": metadata, "spec": node["spec"]}


async def test_rule_1_only_the_mark_and_the_owner_change(world: World) -> None:
    (name,) = await world.add_nodes(1)
    # The controllers have labels, annotations and taints of their own to add.
    async with without_controllers(world):
        before = essence(await world.reader.get_raw(NODES, name))
        assert await cordon(world.reader, world.writer, name, owner="drain/r1")
        after = essence(await world.reader.get_raw(NODES, name))
    assert after["spec"].pop("unschedulable") is True
    assert after["metadata"]["annotations"].pop(OWNER_ANNOTATION) == "drain/r1"
    before["metadata"].setdefault("annotations", {})
    taints = [t for t in after["spec"].pop("taints", []) if "unschedulable" not in t["key"]]
    assert taints == before["spec"].pop("taints", [])
    assert after == before


async def test_rule_1_the_words_are_kubectls(world: World) -> None:
    (name,) = await world.add_nodes(1)
    said = [
        (await run_cli(world.sandbox, verb, name)).stdout.strip()
        for verb in ("cordon", "cordon", "uncordon", "uncordon")
    ]
    assert said == [
        f"node/{name} cordoned",
        f"node/{name} already cordoned",
        f"node/{name} uncordoned",
        f"node/{name} already uncordoned",
    ]


async def test_rule_1_a_missing_node_is_fatal_before_any_patch(world: World) -> None:
    (name,) = await world.add_nodes(1)
    done = await run_cli(world.sandbox, "cordon", name, "no-such-node")
    assert done.returncode != 0
    assert 'nodes "no-such-node" not found' in done.stderr
    assert not (await world.node(name)).spec.unschedulable


async def test_rule_2_a_failed_cordon_stops_the_drain(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web"))
    async with FaultProxy(world.sandbox.kubeconfig, world.directory) as proxy:
        proxy.inject(
            refusal(500, "InternalError"), method="PATCH", path=f"/nodes/{name}", times=None
        )
        async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
            result = await world.drain(name, connection=connection)
    assert result.outcome is Outcome.FAILED
    assert [each.state for each in result.steps] == ["Failed", "Skipped"]
    assert world.accepted_evictions() == []


async def test_rule_3_names_and_a_selector_exclude_each_other(world: World) -> None:
    (name,) = await world.add_nodes(1)
    for verb in ("cordon", "drain"):
        done = await run_cli(world.sandbox, verb, name, "--selector", "a=b")
        assert done.returncode == 2
        assert "error: cannot specify both a node name and a --selector option" in done.stderr
    done = await run_cli(world.sandbox, "drain", name, "--pod-selector", "a=b=c")
    assert done.returncode == 2
    assert "--pod-selector=<pod_selector> must be a valid label selector" in done.stderr
    assert not (await world.node(name)).spec.unschedulable


async def test_rule_24_after_a_lost_answer_the_node_is_read_again(world: World) -> None:
    (name,) = await world.add_nodes(1)
    async with FaultProxy(world.sandbox.kubeconfig, world.directory) as proxy:
        proxy.inject(LoseAnswer(), method="PATCH", path=f"/nodes/{name}", times=1)
        async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
            changed = await cordon(Reader(connection), Writer(connection), name, owner="drain/r1")
        assert proxy.count("PATCH", f"/nodes/{name}") == 1
    assert changed
    assert owner_of(await world.node(name)) == "drain/r1"


async def test_rule_24_after_a_conflict_the_patch_is_made_anew(world: World) -> None:
    (name,) = await world.add_nodes(1)
    async with FaultProxy(world.sandbox.kubeconfig, world.directory) as proxy:
        proxy.inject(refusal(409, "Conflict"), method="PATCH", path=f"/nodes/{name}", times=2)
        async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
            assert await cordon(Reader(connection), Writer(connection), name, owner="drain/r1")
        assert proxy.count("PATCH", f"/nodes/{name}") == 3


@pytest.mark.parametrize("owner", ["", "drain/r1"])
async def test_a_cordon_of_somebody_else_stays(world: World, owner: str) -> None:
    (name,) = await world.add_nodes(1)
    annotations = {OWNER_ANNOTATION: owner} if owner else {}
    patch = {"metadata": {"annotations": annotations}, "spec": {"unschedulable": True}}
    await world.writer.patch(NODES, name, patch)
    assert not await cordon(world.reader, world.writer, name, owner="maintain/r2")
    assert not await uncordon(world.reader, world.writer, name, owner="maintain/r2")
    assert owner_of(await world.node(name)) == owner
    assert (await world.node(name)).spec.unschedulable


async def test_uncordon_by_hand_takes_any_cordon_away(world: World) -> None:
    (name,) = await world.add_nodes(1)
    await cordon(world.reader, world.writer, name, owner="maintain/r1")
    assert await uncordon(world.reader, world.writer, name)
    node = await world.node(name)
    assert not node.spec.unschedulable
    assert OWNER_ANNOTATION not in node.metadata.annotations


async def test_a_maintenance_takes_over_what_an_earlier_one_left_behind(
    newest_world: World,
) -> None:
    world = newest_world
    left, drained, foreign = await world.add_nodes(3)
    assert await cordon(world.reader, world.writer, left, owner="maintain/old")
    assert await cordon(world.reader, world.writer, drained, owner="drain/old")
    await world.writer.patch(NODES, foreign, {"spec": {"unschedulable": True}})
    taken = {
        name: await cordon(world.reader, world.writer, name, owner="maintain/new")
        for name in (left, drained, foreign)
    }
    assert taken == {left: True, drained: False, foreign: False}
    assert not await cordon(world.reader, world.writer, left, owner="drain/new")
    owners = [owner_of(await world.node(name)) for name in (left, drained, foreign)]
    assert owners == ["maintain/new", "drain/old", ""]
    assert not await uncordon(world.reader, world.writer, left, owner="maintain/old")
    assert await uncordon(world.reader, world.writer, left, owner="maintain/new")
