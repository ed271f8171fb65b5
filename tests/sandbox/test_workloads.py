"""Workloads: what their manifests become on a real cluster, and when they are called ready."""

from datetime import timedelta

import pytest

from shipkeeper.errors import IncompleteError
from shipkeeper.kube.resources import PODS
from shipkeeper.model.node import ZONE_LABEL
from shipkeeper.model.pod import Pod
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.rollout import wait_ready
from tests.sandbox.corner import Corner

LIMIT = timedelta(seconds=400)


async def listed(corner: Corner, app: str) -> list[Pod]:
    selector = f"{workloads.APP_LABEL}={app}"
    pods = await corner.reader.list(PODS, namespace=corner.name, label_selector=selector)
    return pods.items


async def test_every_kind_of_workload_gets_ready(corner: Corner) -> None:
    nodes = await corner.add(4, zones=2)
    await corner.apply(
        workloads.deployment(
            "web", corner.name, replicas=4, shape=corner.shape(spread_over=ZONE_LABEL)
        ),
        workloads.stateful_set("db", corner.name, replicas=3, shape=corner.shape(apart=True)),
        workloads.daemon_set("agent", corner.name, shape=corner.shape()),
        workloads.bare_pod("lonely", corner.name, shape=corner.shape(labels={"team": "a"})),
        workloads.deployment("cache", corner.name, shape=corner.shape(empty_dir=True)),
        workloads.budget("web", corner.name, {workloads.APP_LABEL: "web"}, min_available=3),
        workloads.budget("db", corner.name, {workloads.APP_LABEL: "db"}, max_unavailable=1),
        # Of two budgets over one pod, the server may leave either's numbers behind for good.
        workloads.budget("one", corner.name, {workloads.APP_LABEL: "cache"}, min_available=0),
        workloads.budget("two", corner.name, {workloads.APP_LABEL: "cache"}, max_unavailable=1),
    )
    await wait_ready(corner.reader, corner.name, timeout=LIMIT)
    web = [pod.spec.node_name for pod in await listed(corner, "web")]
    assert {int(node.rpartition("-")[2]) % 2 for node in web} == {0, 1}
    assert len({pod.spec.node_name for pod in await listed(corner, "db")}) == 3
    assert {pod.spec.node_name for pod in await listed(corner, "agent")} == set(nodes)
    (lonely,) = await listed(corner, "lonely")
    assert (lonely.metadata.controller, lonely.metadata.labels["team"]) == (None, "a")
    (cache,) = await listed(corner, "cache")
    assert cache.uses_empty_dir
    budgets = await corner.reader.list(await corner.reader.budget_resource(), namespace=corner.name)
    allowed = {each.name: each.status.disruptions_allowed for each in budgets.items}
    assert allowed.keys() == {"web", "db", "one", "two"}
    assert (allowed["web"], allowed["db"]) == (1, 1)


async def test_what_is_not_ready_is_named(corner: Corner) -> None:
    await corner.add()
    shape = corner.shape(ready_after="1h")
    await corner.apply(workloads.deployment("slow", corner.name, replicas=2, shape=shape))
    await corner.until(PODS, lambda pods: len(pods) == 2)
    with pytest.raises(IncompleteError, match="Deployment slow"):
        await wait_ready(corner.reader, corner.name, timeout=timedelta(seconds=5))


async def test_manifests_are_applied_again_in_place(corner: Corner) -> None:
    await corner.add()
    for replicas in (1, 3, 2):
        web = workloads.deployment("web", corner.name, replicas=replicas, shape=corner.shape())
        await corner.apply(web)
        await wait_ready(corner.reader, corner.name, timeout=LIMIT)
        pods = [pod for pod in await listed(corner, "web") if not pod.is_deleting]
        assert [pod.is_ready for pod in pods] == [True] * replicas
