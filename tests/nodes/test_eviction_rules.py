"""Rules 11, 13 to 15 and 21: what the API server answers to an eviction, and what follows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.journal import Outcome
from shipkeeper.kube import eviction
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ForbiddenError, Status
from shipkeeper.kube.resources import NAMESPACES, PODS
from shipkeeper.kube.steady import SteadyConnection
from shipkeeper.kube.writer import Writer
from shipkeeper.model.pod import Pod
from tests.faults.faults import Answer, Delay, Drop, LoseAnswer, over_budget, refusal, slow_down
from tests.faults.proxy import FaultProxy
from tests.nodes.world import World, without_controllers

EVICTION = r"/eviction$"


@asynccontextmanager
async def through_proxy(world: World) -> AsyncGenerator[tuple[FaultProxy, Connection]]:
    async with FaultProxy(world.sandbox.kubeconfig, world.directory) as proxy:
        options = ConnectionOptions(kubeconfig=str(proxy.kubeconfig))
        async with connect(options) as connection:
            yield proxy, connection


async def evict(world: World, pod: Pod) -> eviction.Outcome:
    version = await world.reader.eviction_version()
    return await eviction.evict(world.writer, pod, version=version)


async def one_pod(world: World, **wishes: Any) -> Pod:
    await world.add_nodes(1)
    await world.up(world.deployment("web", **wishes))
    (pod,) = await world.pods()
    return pod


async def test_rule_11_the_eviction_version_is_the_servers(world: World) -> None:
    is_old = world.sandbox.version.startswith("v1.20.")
    assert await world.reader.eviction_version() == ("v1beta1" if is_old else "v1")
    pod = await one_pod(world)
    assert isinstance(await evict(world, pod), eviction.Accepted)


async def test_rule_11_without_evictions_pods_are_deleted(world: World) -> None:
    pod = await one_pod(world)
    async with through_proxy(world) as (proxy, connection):
        nothing: dict[str, Any] = {"kind": "APIResourceList", "groupVersion": "v1", "resources": []}
        proxy.inject(Answer(200, nothing), method="GET", path=r"^/api/v1$", times=None)
        result = await world.drain(pod.spec.node_name, connection=connection)
    assert result.outcome is Outcome.SUCCEEDED
    assert world.accepted_evictions() == []
    deleted = [line.object_ref.name for line in world.audit(verb="delete", resource="pods")]
    assert pod.name in deleted


async def test_rule_13_accepted_is_not_gone(world: World) -> None:
    pod = await one_pod(world)
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, pod.spec.node_name)
    assert isinstance(await evict(world, pod), eviction.Accepted)
    assert (await world.reader.get(PODS, pod.name, world.name)).is_deleting


async def test_whoever_is_stopped_meanwhile_hears_the_answer_first(world: World) -> None:
    pod = await one_pod(world)
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, pod.spec.node_name)
    version = await world.reader.eviction_version()
    async with through_proxy(world) as (proxy, connection):
        late = proxy.inject(Delay(1.0), method="POST", path=EVICTION)
        asking = asyncio.create_task(eviction.evict(Writer(connection), pod, version=version))
        await late.met()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        # A server that was hung up on would have counted it against its budget, and no more.
        assert (await world.reader.get(PODS, pod.name, world.name)).is_deleting


class Swaying:
    """A footing that nobody stands on before it is `firmly` there."""

    def __init__(self) -> None:
        self.asked, self.firmly = asyncio.Event(), asyncio.Event()

    async def firm(self) -> None:
        self.asked.set()
        await self.firmly.wait()

    async def proven(self) -> None:
        await self.firmly.wait()


async def test_whoever_is_stopped_before_it_is_sent_evicts_nothing(world: World) -> None:
    pod = await one_pod(world)
    version = await world.reader.eviction_version()
    footing = Swaying()
    writer = Writer(SteadyConnection(world.connection, footing))
    asking = asyncio.create_task(eviction.evict(writer, pod, version=version))
    await footing.asked.wait()
    asking.cancel()
    footing.firmly.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.accepted_evictions() == []


async def test_whoever_is_stopped_when_it_was_put_off_evicts_nothing(world: World) -> None:
    pod = await one_pod(world)
    version = await world.reader.eviction_version()
    async with through_proxy(world) as (proxy, connection):
        put_off = proxy.inject(slow_down(1), method="POST", path=EVICTION, times=1)
        asking = asyncio.create_task(eviction.evict(Writer(connection), pod, version=version))
        await put_off.met()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert proxy.count("POST", EVICTION) == 1
    assert world.accepted_evictions() == []


async def test_rule_13_a_pod_that_is_gone_is_a_success(world: World) -> None:
    pod = await one_pod(world)
    ghost = msgspec.structs.replace(
        pod, metadata=msgspec.structs.replace(pod.metadata, name="ghost")
    )
    assert isinstance(await evict(world, ghost), eviction.Gone)


async def test_rules_13_and_21_another_pod_of_the_name_is_left_alone(world: World) -> None:
    pod = await one_pod(world)
    stale = msgspec.structs.replace(
        pod,
        metadata=msgspec.structs.replace(pod.metadata, uid="00000000-0000-0000-0000-000000000000"),
    )
    assert isinstance(await evict(world, stale), eviction.Replaced)
    assert not (await world.reader.get(PODS, pod.name, world.name)).is_deleting


async def test_rules_13_and_14_a_budget_that_is_used_up(world: World) -> None:
    pod = await one_pod(world)
    await world.up(world.budget("web", min_available=1))
    outcome = await evict(world, pod)
    assert isinstance(outcome, eviction.OverBudget)
    assert outcome.retry_after is None
    assert "disruption budget" in outcome.message


async def test_rule_14_a_budget_that_is_being_processed(world: World) -> None:
    pod = await one_pod(world)
    async with without_controllers(world):
        await world.apply(world.budget("web", max_unavailable=1))
        outcome = await evict(world, pod)
    assert isinstance(outcome, eviction.OverBudget)
    assert "still being processed" in outcome.message
    # 1.20 does not say when to come back.
    is_old = world.sandbox.version.startswith("v1.20.")
    assert outcome.retry_after == (None if is_old else timedelta(seconds=10))


async def test_rule_13_two_budgets_never_succeed_and_are_named(world: World) -> None:
    pod = await one_pod(world, replicas=1)
    await world.up(world.budget("one", "web", max_unavailable=1))
    await world.apply(world.budget("two", "web", max_unavailable=1))
    assert isinstance(await evict(world, pod), eviction.ManyBudgets)
    plan = await world.plan(pod.spec.node_name)
    blocker = next(v for v in plan.blockers if v.reason == "ManyBudgets")
    assert "one, two" in blocker.message
    assert plan.steps == ()


async def test_rule_13_two_budgets_that_come_late_fail_fast(world: World) -> None:
    """A second budget that nobody saw when the drain was planned."""
    pod = await one_pod(world)
    await world.up(world.budget("one", "web", max_unavailable=1))
    async with through_proxy(world) as (proxy, connection):
        message = "This pod has more than one PodDisruptionBudget, which is not supported."
        body = {"kind": "Status", "status": "Failure", "message": message, "code": 500}
        proxy.inject(Answer(500, body), method="POST", path=EVICTION, times=None)
        async with asyncio.timeout(20):
            result = await world.drain(pod.spec.node_name, connection=connection)
        assert proxy.count("POST", EVICTION) == 1
    assert result.failures[0].reason == "ManyBudgets"


async def test_rule_13_a_terminating_namespace(world: World) -> None:
    pod = await one_pod(world)
    await asyncio.to_thread(world.sandbox.hollow.hang_deletions, pod.spec.node_name)
    await world.writer.delete(NAMESPACES, world.name)
    outcome = await evict(world, pod)
    assert isinstance(outcome, eviction.NamespaceTerminating | eviction.Accepted)
    await asyncio.to_thread(world.sandbox.hollow.release_deletions, pod.spec.node_name)
    async with asyncio.timeout(20):
        assert (await world.drain(pod.spec.node_name)).outcome is Outcome.SUCCEEDED


PASSING = {
    "429 without a cause": slow_down(1),
    "429 of a budget": over_budget("web"),
    "403 negative": refusal(403, "Forbidden", "pdb disruptions allowed is negative"),
    "403 map too big": refusal(403, "Forbidden", "DisruptedPods map too big - too many evictions"),
    "409 of the budget": refusal(409, "Conflict", "the object has been modified"),
    "504": refusal(504, "Timeout", "couldn't update PodDisruptionBudget due to conflicts"),
    "500": refusal(500, "InternalError", "something broke"),
    "dropped": Drop(),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=list(PASSING))
async def test_rule_13_what_passes_is_tried_again(
    world: World, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No budget is really there whose change could be seen.
    monkeypatch.setattr("shipkeeper.nodes.eviction.ASK_AGAIN", 0.5)
    pod = await one_pod(world)
    async with through_proxy(world) as (proxy, connection):
        proxy.inject(fault, method="POST", path=EVICTION, times=2)
        async with asyncio.timeout(60):
            result = await world.drain(pod.spec.node_name, connection=connection)
        assert proxy.count("POST", EVICTION) == 3
    assert result.outcome is Outcome.SUCCEEDED
    assert world.accepted_evictions() == [pod.name]


async def test_rule_13_what_does_not_pass_ends_after_a_number_of_tries(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipkeeper.nodes.eviction._LONGEST_PAUSE", 0.2)
    pod = await one_pod(world)
    async with through_proxy(world) as (proxy, connection):
        negative = refusal(403, "Forbidden", "pdb disruptions allowed is negative")
        proxy.inject(negative, method="POST", path=EVICTION, times=None)
        async with asyncio.timeout(60):
            result = await world.drain(pod.spec.node_name, connection=connection)
    assert result.outcome is Outcome.FAILED
    assert "negative" in result.failures[0].message


async def test_an_eviction_whose_answer_is_lost_is_not_sent_twice(world: World) -> None:
    pod = await one_pod(world)
    async with through_proxy(world) as (proxy, connection):
        proxy.inject(LoseAnswer(), method="POST", path=EVICTION, times=1)
        async with asyncio.timeout(60):
            result = await world.drain(pod.spec.node_name, connection=connection)
    assert result.outcome is Outcome.SUCCEEDED
    assert world.accepted_evictions() == [pod.name]


async def test_a_missing_permission_is_named(world: World) -> None:
    pod = await one_pod(world)
    async with through_proxy(world) as (proxy, connection):
        body = 'pods "x" is forbidden: User "bob" cannot create resource "pods/eviction"'
        proxy.inject(refusal(403, "Forbidden", body), method="POST", path=EVICTION, times=None)
        result = await world.drain(pod.spec.node_name, connection=connection)
        # A server that starts knows no permissions yet: it is asked again once it took a renewal.
        assert proxy.count("POST", EVICTION) == 2
    assert "pods/eviction" in result.failures[0].message


async def test_rule_15_unhealthy_pods(world: World) -> None:
    """A pod that is not Ready, behind a budget that allows no disruption."""
    pod = await one_pod(world)
    await asyncio.to_thread(world.sandbox.hollow.set_ready_delay, pod.spec.node_name, 600.0)
    await world.apply(world.deployment("web", 2))
    async with asyncio.timeout(30):
        while not (
            sick := [
                p for p in await world.pods() if p.status.phase == "Running" and not p.is_ready
            ]
        ):
            await asyncio.sleep(0.1)
    await world.apply(world.budget("web", min_available=1))
    await budget_settled(world, "web", expected_pods=2)
    # One of two is healthy, one is wanted: the sick one may go, the healthy one may not.
    assert isinstance(await evict(world, pod), eviction.OverBudget)
    plan = await world.plan(pod.spec.node_name)
    reasons = {item.key: [v.reason for v in item.verdicts] for s in plan.steps for item in s.items}
    assert reasons[pod.key] == ["BudgetExhausted"]
    assert reasons[sick[0].key] == []
    assert isinstance(await evict(world, sick[0]), eviction.Accepted)


async def test_rule_15_always_allow(newest_world: World) -> None:
    """A policy that 1.20 does not know yet."""
    world = newest_world
    await world.add_nodes(1, ready_after=600.0)
    await world.apply(world.deployment("web", 2))
    async with asyncio.timeout(30):
        while len(pods := [p for p in await world.pods() if p.status.phase == "Running"]) < 2:
            await asyncio.sleep(0.1)
    strict, lenient = world.budget("web", min_available=1), world.budget("web", min_available=1)
    lenient["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    await world.apply(strict)
    await budget_settled(world, "web", expected_pods=2)
    assert isinstance(await evict(world, pods[0]), eviction.OverBudget)
    await world.apply(lenient)
    assert isinstance(await evict(world, pods[0]), eviction.Accepted)


async def budget_settled(world: World, name: str, *, expected_pods: int) -> None:
    resource = await world.reader.budget_resource()
    async with asyncio.timeout(30):
        while True:
            budget = await world.reader.get(resource, name, world.name)
            if budget.is_current and budget.status.expected_pods == expected_pods:
                return
            await asyncio.sleep(0.1)


def test_an_unknown_refusal_is_not_swallowed() -> None:
    with pytest.raises(ForbiddenError):
        eviction.outcome_of(ForbiddenError("no", Status(code=403, message="no")))
