"""Single replicas that a budget forbids to evict: who is scaled, and that it leaves no trace."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest

from shipkeeper.errors import BlockedError
from shipkeeper.kube.changes import Change
from shipkeeper.kube.eviction import Accepted, OverBudget, evict
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PODS,
)
from shipkeeper.kube.writer import APPLY_PATCH
from shipkeeper.model.autoscaler import AutoscalerSpec, HorizontalPodAutoscaler, ScaleTarget
from shipkeeper.model.deployment import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    FieldManager,
    ManagedMeta,
)
from shipkeeper.model.disruption import BudgetSpec, BudgetStatus, PodDisruptionBudget
from shipkeeper.model.meta import Condition, ObjectMeta, OwnerReference
from shipkeeper.model.node import Node
from shipkeeper.model.pod import ClaimSource, Pod, PodSpec, PodStatus, Volume
from shipkeeper.model.selector import LabelSelector
from shipkeeper.model.storage import ClaimSpec, PersistentVolumeClaim
from shipkeeper.model.workload import Workload
from shipkeeper.nodes.cordon import cordon
from shipkeeper.nodes.observe import ClusterState, observe, observe_nodes
from shipkeeper.nodes.surge import (
    SURGE_ANNOTATION,
    Surge,
    SurgeCandidate,
    SurgeOptions,
    SurgeState,
    surge_candidates,
    surge_of,
    would_allow,
)
from shipkeeper.nodes.surging import (
    SurgeError,
    Surges,
    end_surge,
    find_surges,
    observe_surge,
    raise_surge,
)
from tests.forks import Fork
from tests.nodes.surging_alone import OPTIONS, Request, surge
from tests.nodes.world import World

KILLED = -9


def owned_by(kind: str, uid: str) -> tuple[OwnerReference, ...]:
    owner = OwnerReference(api_version="apps/v1", kind=kind, name=uid, uid=uid, controller=True)
    return (owner,)


POD = Pod(
    metadata=ObjectMeta(
        name="web-1",
        namespace="n",
        uid="p",
        labels={"app": "web"},
        owner_references=owned_by("ReplicaSet", "rs"),
    ),
    spec=PodSpec(node_name="a"),
    status=PodStatus(phase="Running", conditions=(Condition(type="Ready", status="True"),)),
)
BUDGET = PodDisruptionBudget(
    metadata=ObjectMeta(name="web", namespace="n"),
    spec=BudgetSpec(min_available=1, selector=LabelSelector(match_labels={"app": "web"})),
    status=BudgetStatus(current_healthy=1, desired_healthy=1, expected_pods=1),
)
DEPLOYMENT = Deployment(
    metadata=ManagedMeta(name="web", namespace="n", uid="d"), spec=DeploymentSpec(replicas=1)
)
REPLICA_SET = Workload(
    metadata=ObjectMeta(
        name="web-x", namespace="n", uid="rs", owner_references=owned_by("Deployment", "d")
    )
)


def judged(
    deployment: Deployment = DEPLOYMENT,
    *,
    pod: Pod = POD,
    budget: PodDisruptionBudget = BUDGET,
    options: SurgeOptions = OPTIONS,
    **more: Any,
) -> str:
    """`candidate`, the reason why not, or nothing."""
    state = ClusterState(
        nodes=(Node(metadata=ObjectMeta(name="a")),),
        pods=(pod,),
        budgets=(budget,),
        daemon_sets=frozenset(),
        eviction_version="v1",
        budget_version="v1",
    )
    scaling = SurgeState(deployments=(deployment,), replica_sets=(REPLICA_SET,), **more)
    candidates, verdicts = surge_candidates(state, scaling, options)
    assert [each.key for each in candidates] == ["n/web"] * len(candidates)
    return " ".join(["candidate"] * len(candidates) + [each.reason for each in verdicts])


def marked(**metadata: Any) -> Deployment:
    named: dict[str, Any] = {"name": "web", "namespace": "n", "uid": "d", **metadata}
    return Deployment(metadata=ManagedMeta(**named), spec=DeploymentSpec(replicas=1))


def scaled(replicas: int, strategy: str = "", **metadata: Any) -> Deployment:
    spec = DeploymentSpec(replicas=replicas, strategy=DeploymentStrategy(type=strategy))
    return msgspec.structs.replace(marked(**metadata), spec=spec)


def budget(healthy: int, expected: int, allowed: int = 0, **limits: Any) -> PodDisruptionBudget:
    status = BudgetStatus(
        current_healthy=healthy,
        desired_healthy=healthy - allowed,
        expected_pods=expected,
        disruptions_allowed=allowed,
    )
    spec = BudgetSpec(selector=LabelSelector(match_labels={"app": "web"}), **limits)
    return msgspec.structs.replace(BUDGET, spec=spec, status=status)


def test_only_a_single_replica_that_cannot_be_evicted_is_scaled() -> None:
    assert judged() == "candidate"
    assert judged(options=SurgeOptions()) == ""
    assert judged(scaled(2)) == ""
    assert judged(budget=budget(2, 2, 1, min_available=1)) == ""
    raised = {SURGE_ANNOTATION: '{"replicas":1,"run":"r"}'}
    assert judged(scaled(2, annotations=raised)) == "candidate"


AUTOSCALER = HorizontalPodAutoscaler(
    metadata=ObjectMeta(name="h", namespace="n"),
    spec=AutoscalerSpec(scale_target_ref=ScaleTarget(kind="Deployment", name="web")),
)
OWNED = [
    (marked(labels={"argocd.argoproj.io/instance": "x"}), "GitOpsOwned"),
    (marked(annotations={"argocd.argoproj.io/tracking-id": "x"}), "GitOpsOwned"),
    (marked(labels={"kustomize.toolkit.fluxcd.io/name": "x"}), "GitOpsOwned"),
    (marked(labels={"helm.toolkit.fluxcd.io/name": "x"}), "GitOpsOwned"),
    (marked(managed_fields=(FieldManager(manager="argocd-controller"),)), "GitOpsOwned"),
    (marked(managed_fields=(FieldManager(manager="kustomize-controller"),)), "GitOpsOwned"),
    (marked(owner_references=owned_by("Database", "x")), "ControllerOwned"),
]


@pytest.mark.parametrize(("deployment", "reason"), OWNED)
def test_what_others_own_is_left_alone_unless_told(deployment: Deployment, reason: str) -> None:
    assert judged(deployment) == reason
    assert judged(deployment, options=SurgeOptions(enabled=True, owned=True)) == "candidate"


def test_what_an_autoscaler_owns_is_left_alone() -> None:
    assert judged(autoscalers=(AUTOSCALER,)) == "AutoscalerOwned"
    other = ScaleTarget(kind="StatefulSet", name="web")
    spec = AutoscalerSpec(scale_target_ref=other)
    assert judged(autoscalers=(msgspec.structs.replace(AUTOSCALER, spec=spec),)) == "candidate"


@pytest.mark.parametrize(
    ("mode", "found"), [("ReadWriteOnce", "VolumeNotShared"), ("ReadWriteMany", "candidate")]
)
def test_a_volume_that_one_node_holds_at_a_time_forbids_a_second_pod(mode: str, found: str) -> None:
    volume = Volume(name="v", persistent_volume_claim=ClaimSource(claim_name="data"))
    pod = msgspec.structs.replace(POD, spec=PodSpec(node_name="a", volumes=(volume,)))
    claim = PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", namespace="n"), spec=ClaimSpec(access_modes=(mode,))
    )
    assert judged(pod=pod, claims=(claim,)) == found


def test_recreate_means_that_two_must_not_run_together() -> None:
    assert judged(scaled(1, "Recreate"), options=SurgeOptions(enabled=True, owned=True)) == (
        "RecreateStrategy"
    )


@pytest.mark.parametrize(
    ("healthy", "limits", "allows"),
    [
        (1, {"min_available": 1}, True),
        (1, {"min_available": 2}, False),
        (1, {"min_available": "50%"}, True),
        (1, {"min_available": "51%"}, False),
        (1, {"min_available": "100%"}, False),
        (1, {"max_unavailable": 0}, False),
        (1, {"max_unavailable": "0%"}, False),
        (1, {"max_unavailable": "1%"}, True),
        (0, {"min_available": 1}, False),
        (3, {"min_available": 3}, True),
    ],
)
def test_a_second_pod_must_be_of_use(healthy: int, limits: dict[str, Any], allows: bool) -> None:
    assert would_allow(budget(healthy, max(healthy, 1), **limits)) is allows


async def candidate_of(world: World) -> tuple[SurgeCandidate, Pod]:
    """The candidate of a world with one pod, whose node is cordoned."""
    (pod,) = await world.pods()
    await cordon(world.reader, world.writer, pod.spec.node_name, owner="test")
    state = await state_of(world, pod.spec.node_name)
    (found,), verdicts = surge_candidates(state, await observe_surge(world.reader), OPTIONS)
    assert verdicts == ()
    return found, pod


async def state_of(world: World, node: str) -> ClusterState:
    return await observe(world.reader, await observe_nodes(world.reader, (node,), ""))


async def evicted(world: World, pod: Pod) -> bool:
    outcome = await evict(world.writer, pod, version=await world.reader.eviction_version())
    assert isinstance(outcome, Accepted | OverBudget)
    return isinstance(outcome, Accepted)


async def deployment(world: World, name: str = "web") -> Deployment:
    return await world.reader.get(DEPLOYMENTS, name, world.name)


@asynccontextmanager
async def fewest_ready(world: World) -> AsyncGenerator[list[int]]:
    """Every number of Ready pods that was seen, by a watch of its own."""
    seen: list[int] = []
    async with Reflector(world.reader, PODS, namespace=world.name) as pods:

        def count(_: Change[Pod]) -> None:
            ready = [each for each in pods.objects.values() if each.is_ready]
            seen.append(sum(not each.is_deleting for each in ready))

        pods.subscribe(count)
        yield seen


async def one_pod(world: World) -> Pod:
    """The only pod there is left, once it is alone and Ready."""
    async with (
        asyncio.timeout(60),
        Reflector(world.reader, PODS, namespace=world.name) as pods,
    ):
        await pods.wait_for(
            lambda found: len(found) == 1 and all(each.is_ready for each in found.values())
        )
        return next(iter(pods.objects.values()))


async def test_the_only_pod_is_moved_and_there_is_always_one(world: World) -> None:
    await world.add_nodes(2)
    await world.up(world.deployment("web", ready_after="1s"), world.budget("web", min_available=1))
    before = await deployment(world)
    candidate, pod = await candidate_of(world)
    assert not await evicted(world, pod)
    async with fewest_ready(world) as seen:
        await raise_surge(world.reader, world.writer, candidate, run="r", timeout=60)
        raised = await deployment(world)
        assert (raised.spec.replicas, surge_of(raised)) == (
            2,
            Surge(replicas=1, run="r", node=candidate.node),
        )
        assert [each.key for each in await find_surges(world.reader, "r")] == [candidate.key]
        assert await find_surges(world.reader, "other") == ()
        assert await evicted(world, pod)
        assert await end_surge(world.reader, world.writer, world.name, "web", run="r")
        left = await one_pod(world)
    assert left.spec.node_name != pod.spec.node_name
    assert min(seen) == 1
    after = await deployment(world)
    assert after.spec == before.spec
    assert after.metadata.annotations == before.metadata.annotations
    assert not any(
        (each.manager, each.operation) == ("shipkeeper", "Update")
        for each in after.metadata.managed_fields
    )
    assert not await end_surge(world.reader, world.writer, world.name, "web")


async def test_a_surge_that_does_not_come_up_is_taken_back(newest_world: World) -> None:
    world = newest_world
    await world.add_nodes(1)
    await world.up(world.deployment("web"), world.budget("web", min_available=1))
    candidate, pod = await candidate_of(world)
    with pytest.raises(SurgeError) as caught:
        await raise_surge(world.reader, world.writer, candidate, run="r", timeout=2)
    assert caught.value.reason == "SurgeNotReady"
    assert (await deployment(world)).spec.replicas == 1
    assert SURGE_ANNOTATION not in (await deployment(world)).metadata.annotations
    assert (await one_pod(world)).uid == pod.uid


async def test_replicas_that_somebody_changed_meanwhile_stay(newest_world: World) -> None:
    world = newest_world
    await world.add_nodes(2)
    await world.up(world.deployment("web"), world.budget("web", min_available=1))
    candidate, _ = await candidate_of(world)
    await raise_surge(world.reader, world.writer, candidate, run="r", timeout=60)
    with pytest.raises(BlockedError, match="scaled for run r"):
        await raise_surge(world.reader, world.writer, candidate, run="other", timeout=60)
    assert not await end_surge(world.reader, world.writer, world.name, "web", run="other")
    three = {"spec": {"replicas": 3}}
    await world.writer.patch(DEPLOYMENTS, "web", three, namespace=world.name)
    assert await Surges(world.reader, world.writer, OPTIONS, "r").end_all() == 1
    after = await deployment(world)
    assert (after.spec.replicas, surge_of(after)) == (3, None)


async def test_a_surge_ends_with_the_drain_also_when_that_fails(newest_world: World) -> None:
    world = newest_world
    await world.add_nodes(2)
    await world.up(world.deployment("web"), world.budget("web", min_available=1))
    _, pod = await candidate_of(world)
    state = await state_of(world, pod.spec.node_name)

    async def fail() -> None:
        async with Surges(world.reader, world.writer, OPTIONS, "r").during_drain(state):
            assert (await deployment(world)).spec.replicas == 2
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await fail()
    assert (await deployment(world)).spec.replicas == 1
    assert (await one_pod(world)).is_ready


async def test_who_applies_another_number_later_meets_no_conflict(world: World) -> None:
    await world.add_nodes(2)
    manifest = world.deployment("web")
    await world.up(world.budget("web", min_available=1))
    await apply_as(world, "deployer", manifest)
    async with asyncio.timeout(60), Reflector(world.reader, PODS, namespace=world.name) as pods:
        await pods.wait_for(lambda found: any(each.is_ready for each in found.values()))
    await world.up()
    candidate, _ = await candidate_of(world)
    await raise_surge(world.reader, world.writer, candidate, run="r", timeout=60)
    await end_surge(world.reader, world.writer, world.name, "web", run="r")
    await apply_as(world, "deployer", world.deployment("web", 3))
    assert (await deployment(world)).spec.replicas == 3


async def test_who_manages_it_is_seen_on_a_real_server(world: World) -> None:
    await world.add_nodes(1)
    await world.up(world.budget("web", min_available=1))
    await apply_as(world, "argocd-controller", world.deployment("web"))
    autoscaler = {
        "apiVersion": AUTOSCALERS.api_version,
        "kind": AUTOSCALERS.kind,
        "metadata": {"name": "scaler"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"},
            "maxReplicas": 3,
        },
    }
    await world.writer.create(AUTOSCALERS, autoscaler, namespace=world.name)
    await world.up(world.deployment("other"), world.budget("other", min_available=1))
    state = await state_of(world, world.nodes[0])
    candidates, verdicts = surge_candidates(state, await observe_surge(world.reader), OPTIONS)
    assert candidates == ()
    assert {(each.target, each.reason) for each in verdicts} == {
        (f"deployment/{world.name}/web", "GitOpsOwned"),
        (f"deployment/{world.name}/other", "AutoscalerOwned"),
    }


async def apply_as(world: World, manager: str, manifest: dict[str, Any]) -> None:
    await world.connection.send(
        "PATCH",
        DEPLOYMENTS.path(world.name, manifest["metadata"]["name"]),
        query={"fieldManager": manager},
        body=manifest,
        content_type=APPLY_PATCH,
    )


async def test_killed_after_every_request_it_is_restored(newest_world: World) -> None:
    world = newest_world
    await world.add_nodes(2)
    await world.up(world.deployment("web"), world.budget("web", min_available=1))
    before = await deployment(world)
    deaths, raised = 0, 0
    async with fewest_ready(world) as seen:
        while True:
            run = f"r{deaths}"
            if not await died(world, run, deaths + 1):
                break
            deaths += 1
            raised += surge_of(await deployment(world)) is not None
            await Surges(world.reader, world.writer, OPTIONS, run).end_all()
            after = await deployment(world)
            assert after.spec == before.spec
            assert after.metadata.annotations == before.metadata.annotations
            await one_pod(world)
            await world.up()
    assert (await deployment(world)).spec == before.spec
    assert min(seen) == 1
    assert deaths > raised >= 3


async def died(world: World, run: str, after: int) -> bool:
    """Move the only pod in a process of its own: whether that was killed on its way."""
    request = Request(
        kubeconfig=str(world.sandbox.kubeconfig), namespace=world.name, run=run, dies_after=after
    )
    code = await asyncio.to_thread(Fork(partial(surge, msgspec.json.encode(request))).wait, 120)
    assert code in (0, KILLED)
    return code == KILLED
