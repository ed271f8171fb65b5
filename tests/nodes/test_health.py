"""The gate between waves: what counts as healthy, on values, a real cluster and over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import DEPLOYMENTS, NODES, PODS
from shipkeeper.metrics.prometheus import MetricsError, Prometheus, PrometheusOptions
from shipkeeper.model.meta import Condition, ObjectMeta, OwnerReference
from shipkeeper.model.node import Node, NodeStatus
from shipkeeper.model.sample import Sample
from shipkeeper.model.workload import Workload, WorkloadSpec, WorkloadStatus
from shipkeeper.nodes.health import (
    Health,
    HealthOptions,
    Meaning,
    MetricCheck,
    WorkloadHealth,
    firing_alerts,
    health_of,
    judge_health,
    judge_samples,
)
from shipkeeper.nodes.health_watch import HealthWatch
from tests.faults.faults import Cut, refusal
from tests.faults.proxy import FaultProxy
from tests.nodes.metrics_server import MetricsServer, metrics_server
from tests.nodes.world import World, options_of

WEB = "deployment/n/web"
FULL, SHORT = WorkloadHealth(wanted=3, ready=3), WorkloadHealth(wanted=3, ready=2)


def health(web: WorkloadHealth | None = FULL, **nodes: bool) -> Health:
    return Health(nodes=nodes, workloads={WEB: web} if web else {})


def reasons(verdicts: tuple[Verdict, ...]) -> list[str]:
    assert all(each.effect is Effect.WAIT and each.remedy for each in verdicts)
    return [each.reason for each in verdicts]


def test_every_node_that_is_done_must_be_ready() -> None:
    before, now = health(a=True, b=True, c=False), health(a=False, b=True, c=False)
    assert judge_health(before, now, ()) == ()
    assert judge_health(before, now, {"b"}) == ()
    assert reasons(judge_health(before, now, {"a", "b", "gone"})) == ["NodeNotReady", "NodeGone"]


def test_workloads_must_be_back_where_they_were() -> None:
    (verdict,) = judge_health(health(FULL), health(SHORT), ())
    assert (verdict.target, verdict.reason) == (WEB, "WorkloadNotReady")
    assert verdict.message == "has 2 of 3 pods Ready, and had all of them before"
    assert "kubectl -n n describe deployment web" in verdict.remedy
    assert judge_health(health(FULL), health(FULL), ()) == ()


def test_what_was_broken_before_or_is_new_or_gone_does_not_count() -> None:
    assert judge_health(health(SHORT), health(SHORT), ()) == ()
    assert judge_health(health(None), health(SHORT), ()) == ()
    assert judge_health(health(FULL), health(None), ()) == ()


def test_workloads_that_were_scaled_must_have_what_they_want_now() -> None:
    assert judge_health(health(FULL), health(WorkloadHealth(wanted=1, ready=1)), ()) == ()
    assert judge_health(health(FULL), health(WorkloadHealth(wanted=0, ready=0)), ()) == ()
    more = health(WorkloadHealth(wanted=5, ready=4))
    assert reasons(judge_health(health(FULL), more, ())) == ["WorkloadNotReady"]
    unseen = health(msgspec.structs.replace(FULL, is_current=False))
    assert reasons(judge_health(health(FULL), unseen, ())) == ["WorkloadNotReady"]


WORKLOADS = st.builds(
    WorkloadHealth, wanted=st.integers(0, 3), ready=st.integers(0, 3), is_current=st.booleans()
)
HEALTHS = st.builds(
    Health,
    nodes=st.dictionaries(st.sampled_from("abc"), st.booleans()),
    workloads=st.dictionaries(
        st.sampled_from([WEB, "statefulset/n/db", "daemonset/m/x"]), WORKLOADS
    ),
)


@given(HEALTHS, HEALTHS, st.sets(st.sampled_from("abc")))
def test_no_change_is_no_obstacle_and_each_obstacle_names_its_object(
    before: Health, now: Health, done: set[str]
) -> None:
    ready = {name for name, is_ready in before.nodes.items() if is_ready}
    assert judge_health(before, before, ready) == ()
    for verdict in judge_health(before, now, done):
        kind, _, name = verdict.target.partition("/")
        if kind == "node":
            assert name in done
            assert not now.nodes.get(name)
        else:
            assert before.workloads[verdict.target].is_complete
            assert not now.workloads[verdict.target].is_complete


def workload(name: str, replicas: int | None, owner: str = "", **more: int) -> Workload:
    owners = (
        (OwnerReference(api_version="apps/v1", kind=owner, name="o", uid="o", controller=True),)
        if owner
        else ()
    )
    return Workload(
        metadata=ObjectMeta(name=name, namespace="n", generation=2, owner_references=owners),
        spec=WorkloadSpec(replicas=replicas),
        status=WorkloadStatus(observed_generation=more.pop("seen", 2), **more),
    )


def test_health_is_read_off_each_kind() -> None:
    node = Node(
        metadata=ObjectMeta(name="a"),
        status=NodeStatus(conditions=(Condition(type="Ready", status="True"),)),
    )
    going = workload("going", 1)
    going = msgspec.structs.replace(
        going,
        metadata=ObjectMeta(name="going", deletion_timestamp=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    found = health_of(
        [node, Node(metadata=ObjectMeta(name="b"))],
        {
            "Deployment": [workload("web", 3, ready_replicas=2, seen=1), going],
            "DaemonSet": [workload("agent", None, desired_number_scheduled=5, number_ready=4)],
            "ReplicaSet": [workload("own", 1), workload("web-x", 3, owner="Deployment")],
        },
    )
    assert found == Health(
        nodes={"a": True, "b": False},
        workloads={
            WEB: WorkloadHealth(wanted=3, ready=2, is_current=False),
            "daemonset/n/agent": WorkloadHealth(wanted=5, ready=4),
            "replicaset/n/own": WorkloadHealth(wanted=1, ready=0),
        },
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Health) == found


UP = Sample(labels={"__name__": "up", "job": "x"}, value=1)
DOWN = msgspec.structs.replace(UP, value=0)


@pytest.mark.parametrize(
    ("samples", "healthy", "quiet"),
    [
        ((), False, True),
        ((UP,), True, False),
        ((UP, DOWN), False, False),
        ((DOWN,), False, False),
        ((Sample(value=float("nan")),), False, False),
        ((Sample(value=float("inf")),), True, False),
        ((Sample(value=-1),), True, False),
    ],
)
def test_what_a_result_means(samples: tuple[Sample, ...], healthy: bool, quiet: bool) -> None:
    query = MetricCheck(query="q", meaning=Meaning.HEALTHY)
    assert (judge_samples(query, samples) is None) is healthy
    trouble = MetricCheck(query="q", meaning=Meaning.TROUBLE)
    assert (judge_samples(trouble, samples) is None) is quiet


def test_what_is_wrong_is_named() -> None:
    many = tuple(Sample(labels={"n": str(number)}, value=0) for number in range(5))
    verdict = judge_samples(MetricCheck(query="q", meaning=Meaning.HEALTHY), many)
    assert verdict is not None
    assert (
        verdict.message == 'the query q does not hold: {n="0"} 0; {n="1"} 0; {n="2"} 0 and 2 more'
    )
    assert str(DOWN) == 'up{job="x"} 0'
    query = 'ALERTS{alertstate="firing",severity="critical"}'
    assert firing_alerts('severity="critical"').query == query


@pytest.fixture
async def server() -> AsyncIterator[MetricsServer]:
    async with metrics_server() as running:
        yield running


async def test_results_are_read(server: MetricsServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    options = PrometheusOptions(url=server.url, token_file=str(token))
    server.vector("up", ({"__name__": "up", "job": "x"}, "1"), ({"job": "y"}, "NaN"))
    server.scalar("42", "+Inf")
    async with Prometheus(options) as prometheus:
        first, second = await prometheus.query("up")
        assert (first, second.labels) == (UP, {"job": "y"})
        assert second.value != second.value
        assert await prometheus.query("42") == (Sample(value=float("inf")),)
        assert await prometheus.query('x{a="b c&d"}') == ()
    assert server.asked == ["up", "42", 'x{a="b c&d"}']
    assert set(server.tokens) == {"Bearer secret"}


async def test_what_is_no_result_is_explained(server: MetricsServer) -> None:
    server.refuse("up{", 400, 'invalid parameter "query": 1:4: parse error')
    server.refuse("up", 403, "no")
    server.answer("up[1m]", {"resultType": "matrix", "result": []})
    server.answer("odd", {"resultType": "vector", "result": [{"value": [1, "x"]}]})
    expected = {
        "up{": ("MetricsRefused", "answered 400: invalid parameter", "web page"),
        "up": ("MetricsRefused", "answered 403", "a token"),
        "up[1m]": ("MetricsMalformed", "is a matrix", "sum(up)"),
        "odd": ("MetricsMalformed", "cannot be read", "sum(up)"),
    }
    async with Prometheus(PrometheusOptions(url=server.url)) as prometheus:
        for query, (reason, message, hint) in expected.items():
            with pytest.raises(MetricsError) as caught:
                await prometheus.query(query)
            assert caught.value.reason == reason
            assert message in caught.value.message
            assert hint in caught.value.hint


async def test_a_server_that_is_not_there_is_explained(server: MetricsServer) -> None:
    wrong = server.url.replace("/prefix/", "")
    async with Prometheus(PrometheusOptions(url=wrong)) as prometheus:
        with pytest.raises(MetricsError, match="answered 404"):
            await prometheus.query("up")
    async with Prometheus(PrometheusOptions(url="http://127.0.0.1:1")) as prometheus:
        with pytest.raises(MetricsError) as caught:
            await prometheus.query("up")
    assert caught.value.reason == "MetricsUnreachable"
    for url in ("prometheus:9090", ""):
        with pytest.raises(UsageError):
            Prometheus(PrometheusOptions(url=url))


async def scale(world: World, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    await world.writer.patch(DEPLOYMENTS, "web", patch, namespace=world.name)


async def cordon_all(world: World, *, is_on: bool) -> None:
    for name in world.nodes:
        await world.writer.patch(NODES, name, {"spec": {"unschedulable": is_on or None}})


async def lose_a_pod(world: World) -> None:
    """Have one pod that no node takes in the place of another."""
    await cordon_all(world, is_on=True)
    pod, *_ = await world.pods()
    await world.writer.delete(PODS, pod.name, namespace=world.name, grace_period_seconds=0)


class Told:
    """What a gate told, and when something of a kind was told."""

    def __init__(self) -> None:
        self.verdicts: list[tuple[Verdict, ...]] = []
        self._changed = asyncio.Event()

    def __call__(self, verdicts: tuple[Verdict, ...]) -> None:
        self.verdicts.append(verdicts)
        self._changed.set()

    async def hears(self, target: str) -> None:
        """Wait until there is something about a target."""
        async with asyncio.timeout(60):
            while not any(each.target == target for told in self.verdicts for each in told):
                self._changed.clear()
                await self._changed.wait()


async def test_the_gate_opens_when_every_pod_is_back(world: World) -> None:
    await world.add_nodes(2)
    await world.up(world.deployment("web", 2))
    told, target = Told(), f"deployment/{world.name}/web"
    async with HealthWatch(world.reader, HealthOptions(timeout=120)) as watch:
        before = await watch.health()
        assert before.workloads[target] == WorkloadHealth(wanted=2, ready=2)
        assert all(before.nodes[name] for name in world.nodes)
        assert await watch.hold(before, world.nodes, told) == ()
        await lose_a_pod(world)
        async with asyncio.timeout(60):
            while (await watch.health()).workloads[target].is_complete:
                await asyncio.sleep(0.01)
        gate = asyncio.create_task(watch.hold(before, world.nodes, told))
        await told.hears(target)
        assert not gate.done()
        await cordon_all(world, is_on=False)
        assert await gate == ()


async def test_the_gate_says_what_did_not_come_back_in_time(newest_world: World) -> None:
    world = newest_world
    await world.add_nodes(1)
    await world.up(world.deployment("web", 2))
    target = f"deployment/{world.name}/web"
    async with HealthWatch(world.reader, HealthOptions(timeout=0.5)) as watch:
        before = await watch.health()
        await lose_a_pod(world)
        told = Told()
        async with asyncio.timeout(60):
            while target not in {each.target for each in await watch.hold(before, (), told)}:
                await asyncio.sleep(0.01)
        found = await watch.hold(before, ("no-such-node",), told)
    assert {(each.target, each.reason) for each in found} >= {
        (target, "WorkloadNotReady"),
        ("node/no-such-node", "NodeGone"),
    }


async def test_a_break_begins_the_soak_anew(newest_world: World) -> None:
    world = newest_world
    await world.add_nodes(1)
    await world.up(world.deployment("web", 1))
    target = f"deployment/{world.name}/web"
    async with HealthWatch(world.reader, HealthOptions(soak=2, timeout=120)) as watch:
        before = await watch.health()
        told = Told()
        gate = asyncio.create_task(watch.hold(before, world.nodes, told))
        await lose_a_pod(world)
        await told.hears(target)
        # Before: the watch may see that all is well before this test does.
        back_after = time.monotonic()
        await cordon_all(world, is_on=False)
        assert await gate == ()
        assert time.monotonic() - back_after >= 2


async def test_metrics_keep_the_gate_shut(newest_world: World, server: MetricsServer) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    ratio, alerts = MetricCheck(query="ok", meaning=Meaning.HEALTHY), firing_alerts()
    options = HealthOptions(
        timeout=60,
        checks=(ratio, alerts),
        prometheus=PrometheusOptions(url=server.url),
        metrics_every=0.05,
    )
    server.vector("ok", ({}, "1"))
    server.vector(alerts.query, ({"alertname": "TooBad"}, "1"))
    told = Told()
    async with HealthWatch(world.reader, options) as watch:
        before = await watch.health()
        gate = asyncio.create_task(watch.hold(before, (name,), told))
        await told.hears("metrics")
        server.refuse(alerts.query, 503, "not now")
        async with asyncio.timeout(60):
            while "MetricsUnknown" not in {v.reason for each in told.verdicts for v in each}:
                await asyncio.sleep(0.01)
        assert not gate.done()
        server.vector(alerts.query)
        assert await gate == ()


async def told_by(watch: HealthWatch, before: Health) -> set[str]:
    found = await watch.hold(before, (), Told())
    return {f"{each.target} {each.reason}" for each in found}


async def test_what_cannot_be_followed_is_not_healthy(newest_world: World, tmp_path: Path) -> None:
    world = newest_world
    await world.add_nodes(1)
    async with (
        FaultProxy(world.sandbox.kubeconfig, tmp_path) as proxy,
        connect(
            msgspec.structs.replace(options_of(world.sandbox), kubeconfig=str(proxy.kubeconfig))
        ) as connection,
        HealthWatch(Reader(connection), HealthOptions(timeout=0.2)) as watch,
    ):
        before = await watch.health()
        fault = proxy.inject(refusal(500, "InternalError"), path="nodes.*watch=true", times=None)
        proxy.strike(Cut())
        async with asyncio.timeout(60):
            await fault.met(1)
            while "node OutOfSight" not in await told_by(watch, before):
                await asyncio.sleep(0.01)
            proxy.heal()
            while await told_by(watch, before):
                await asyncio.sleep(0.01)


async def test_queries_need_a_server(newest_world: World) -> None:
    with pytest.raises(UsageError, match="metrics server"):
        HealthWatch(newest_world.reader, HealthOptions(checks=(firing_alerts(),)))
