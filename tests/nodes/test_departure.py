"""The pure parts of how pods leave: tiers, deadlines, surges there is room for, volumes."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self

import msgspec
import pytest

from shipkeeper.engine.journal import Entry, Phase
from shipkeeper.engine.plan import Plan
from shipkeeper.kube.writer import Writer
from shipkeeper.model.deployment import Deployment, DeploymentSpec, ManagedMeta
from shipkeeper.model.meta import ObjectMeta, OwnerReference
from shipkeeper.model.node import Taint
from shipkeeper.model.pod import PodSpec, Toleration
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.model.storage import (
    AttachmentError,
    AttachmentSource,
    AttachmentSpec,
    AttachmentStatus,
    ClaimReference,
    PersistentVolume,
    VolumeAttachment,
    VolumeSpec,
)
from shipkeeper.model.workload import Workload
from shipkeeper.nodes import deadline
from shipkeeper.nodes.deadline import Deadline
from shipkeeper.nodes.fleet.forecast import forecast
from shipkeeper.nodes.fleet.pace import Pace
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.fleet.surge_room import admit_surges
from shipkeeper.nodes.options import AtDeadline, DrainOptions, MaintenanceOptions
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.nodes.surge import SurgeOptions, SurgeState
from shipkeeper.nodes.tiers import PodOrder
from shipkeeper.nodes.volumes import moved_claims, moved_volumes, not_attached, still_on
from tests.nodes.fleet.sample import budget, fleet, node, pod

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CRITICAL = 2_000_000_000
PACE = Pace(leave=1, replace=4, update=10, step=0)


def planned(state: Any, **drain: Any) -> Plan:
    return plan_fleet(state, MaintenanceOptions(drain=DrainOptions(**drain), wait=1.0), NOW)


def tiers(order: PodOrder, *priorities: int) -> list[int]:
    pods = tuple(pod(f"p-{n}", "a", priority=each) for n, each in enumerate(priorities))
    state = fleet((node("a"), node("b", "99")), pods, scope=1)
    return [item.tier for item in planned(state, pod_order=order).step("a/drain").items]


def test_tiers_are_only_told_of_where_there_is_more_than_one() -> None:
    assert tiers(PodOrder.NONE, 0, CRITICAL) == [0, 0]
    assert tiers(PodOrder.CRITICAL, 0, CRITICAL, 7) == [1, 2, 1]
    assert tiers(PodOrder.CRITICAL, 0, 7, 1_999_999_999) == [0, 0, 0]
    assert tiers(PodOrder.PRIORITY, 5, CRITICAL, 5, -1) == [2, 3, 2, 1]
    assert tiers(PodOrder.PRIORITY, 5, 5) == [0, 0]


def test_a_rehearsal_lets_tiers_leave_one_after_the_other() -> None:
    pods = tuple(pod(f"p-{n}", "a", priority=n) for n in range(3))
    state = fleet((node("a"), node("b", "99")), pods, scope=1)
    for order, drained in ((PodOrder.NONE, 1.0), (PodOrder.PRIORITY, 3.0)):
        (found,) = forecast(state, planned(state, pod_order=order), PACE).nodes
        assert found.drained == drained


def test_daemons_leave_after_volumes_and_only_those_that_bear_no_taint_of_ours() -> None:
    def daemon(name: str, *tolerations: Toleration) -> SchedulablePod:
        owner = OwnerReference(
            api_version="apps/v1", kind="DaemonSet", name="d", uid="d", controller=True
        )
        found = pod(name, "a", tolerations=tolerations)
        metadata = msgspec.structs.replace(found.metadata, owner_references=(owner,))
        return msgspec.structs.replace(found, metadata=metadata)

    state = fleet(
        (node("a", taints=(Taint(key="x", effect="PreferNoSchedule"),)), node("b")),
        (pod("web-1", "a"), daemon("d-1"), daemon("d-2", Toleration(operator="Exists"))),
        scope=1,
    )
    state = msgspec.structs.replace(
        state, daemon_sets=frozenset({"n/d"}), attached={"n/web-1": ("v",)}
    )
    plan = planned(state, daemon_sets_last=True)
    assert [step.action for step in plan.steps] == (
        ["cordon", "drain", "detach", "daemons", "update", "ready", "attach", "uncordon"]
    )
    assert [item.key for item in plan.step("a/daemons").items] == ["n/d-1"]
    assert [item.action for item in plan.step("a/drain").items] == ["Skip", "Skip", "Evict"]
    assert plan.step("a/detach").effect == "1 volume to leave it with their pods: v"
    assert forecast(state, plan, PACE).stuck == ()
    assert [each.reason for each in planned(state).blockers if each.target == "node/a"] == [
        "PodsRefused"
    ]
    held = msgspec.structs.replace(state, budgets=(budget("d", 0, 1), budget("web", 1)))
    held = msgspec.structs.replace(
        held,
        budgets=tuple(
            msgspec.structs.replace(each, status=msgspec.structs.replace(each.status, **more))
            for each, more in zip(
                held.budgets, ({"desired_healthy": 1, "current_healthy": 1}, {}), strict=True
            )
        ),
    )
    refused = planned(held, daemon_sets_last=True)
    assert [each.target for each in refused.blockers] == ["node/a", "pod/n/d-1"]
    assert refused.steps == ()


def deployment_of(app: str) -> tuple[Deployment, Workload]:
    owner = OwnerReference(
        api_version="apps/v1", kind="Deployment", name=app, uid=f"d-{app}", controller=True
    )
    return (
        Deployment(
            metadata=ManagedMeta(name=app, namespace="n", uid=f"d-{app}"),
            spec=DeploymentSpec(replicas=1),
        ),
        Workload(metadata=ObjectMeta(name=app, namespace="n", uid=app, owner_references=(owner,))),
    )


@pytest.mark.parametrize(("room", "fits"), [("2", True), ("1", False)])
def test_a_second_pod_needs_room_beside_the_first(room: str, fits: bool) -> None:
    single = budget("web", 0, 1)
    single = msgspec.structs.replace(
        single,
        spec=msgspec.structs.replace(single.spec, max_unavailable=None, min_available=1),
        status=msgspec.structs.replace(single.status, desired_healthy=1),
    )
    state = fleet((node("a"), node("b", room)), (pod("web-1", "a", "2"),), (single,), scope=1)
    deployment, replica_set = deployment_of("web")
    scaling = SurgeState(deployments=(deployment,), replica_sets=(replica_set,))
    admitted, verdicts = admit_surges(state, scaling, SurgeOptions(enabled=True))
    plan = planned(admitted, surge=SurgeOptions(enabled=True))
    assert admitted.surging == ({"web-1": "n/web"} if fits else {})
    assert [each.reason for each in verdicts] == ([] if fits else ["NoRoomForSecond"])
    if not fits:
        assert "BudgetNeverMet" in [each.reason for each in plan.verdicts]
        assert plan.steps == ()
        return
    (verdict,) = plan.verdicts
    assert (verdict.effect, verdict.target) == ("Allow", "pod/n/web-1")
    assert verdict.message == "Deployment n/web will be scaled to 2 while its pod moves"
    wanted = {(each.verb, each.resource.plural) for each in permissions_of(plan)}
    assert ("patch", "deployments") in wanted
    assert ("delete", "pods") not in wanted
    # The second pod gets Ready, the first leaves.
    (found,) = forecast(admitted, plan, PACE).nodes
    assert found.drained == 5.0


def test_a_deadline_counts_from_the_first_begin() -> None:
    writer = Writer(None)  # type: ignore[arg-type]
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    ended = Deadline(writer, DrainOptions(deadline=60.0, at_deadline=AtDeadline.KILL), long_ago)
    assert ended.is_over
    assert ended.is_forcing
    assert not ended.is_the_end
    assert ended.words == "1m0s"
    begun = Deadline(writer, DrainOptions(deadline=3600.0), long_ago)
    assert not begun.is_over
    assert begun.is_the_end
    assert not begun.forces
    assert 0 < (begun.seconds_left or 0) <= 3300
    none = Deadline(writer, DrainOptions(), long_ago)
    assert none.seconds_left is None
    assert not none.is_over
    orphan = SchedulablePod(metadata=ObjectMeta(name="o"))
    assert ended.is_left_alone(orphan)
    assert not ended.is_left_alone(pod("web-1", "a"))


def test_a_clock_that_is_set_ends_no_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=1)

    writer, hour = Writer(None), DrainOptions(deadline=3600.0)  # type: ignore[arg-type]
    begun = Deadline(writer, hour, datetime.now(UTC))
    monkeypatch.setattr(deadline, "datetime", Tomorrow)
    assert not begun.is_over
    set_back = Deadline(writer, hour, datetime.now(UTC) + timedelta(days=2))
    assert 0 < (set_back.seconds_left or 0) <= 3600


def attachment(
    volume: str, on: str, *, attached: bool = True, asked: bool = False, failed: str = ""
) -> VolumeAttachment:
    error = AttachmentError(message=failed) if failed else None
    return VolumeAttachment(
        metadata=ObjectMeta(name=f"{volume}-{on}", deletion_timestamp=NOW if asked else None),
        spec=AttachmentSpec(
            node_name=on, attacher="d", source=AttachmentSource(persistent_volume_name=volume)
        ),
        status=AttachmentStatus(attached=attached, attach_error=error, detach_error=error),
    )


def test_every_volume_that_is_waited_for_is_named_with_its_pod_and_its_remedy() -> None:
    entries = [
        Entry(run="r", step="a/drain", phase=Phase.BEFORE),
        Entry(
            run="r",
            step="a/drain",
            phase=Phase.BEFORE,
            item="u",
            detail={"pod": "n/db-0", "claims": ["data"]},
        ),
    ]
    assert moved_claims(entries) == {"n/data": "n/db-0"}
    volume = PersistentVolume(
        metadata=ObjectMeta(name="v"),
        spec=VolumeSpec(claim_ref=ClaimReference(namespace="n", name="data")),
    )
    other = msgspec.structs.replace(volume, spec=VolumeSpec())
    moved = moved_volumes(moved_claims(entries), (volume, other))
    assert [str(each) for each in moved] == ["volume v (claim n/data of pod n/db-0)"]

    assert still_on("a", moved, [attachment("v", "b"), attachment("w", "a")]) == ()
    (idle,) = still_on("a", moved, [attachment("v", "a")])
    assert "nobody has asked to detach it" in idle.message
    assert "volumesInUse of node a" in idle.remedy
    (held,) = still_on("a", moved, [attachment("v", "a", asked=True, failed="busy")])
    assert held.message == (
        "volume v (claim n/data of pod n/db-0) is still attached to a; "
        "its detachment was asked for at 12:00:00Z: busy"
    )
    assert held.remedy.endswith("kubectl describe volumeattachment v-a")


@pytest.mark.parametrize(
    ("attachments", "said"),
    [
        ((attachment("v", "b"),), ""),
        ((attachment("v", "b", attached=False),), "is not attached to b yet"),
        ((attachment("v", "b", attached=False, failed="no path"),), "to b: no path"),
        ((attachment("v", "a"),), "to b: a still holds it"),
        ((), "to b: nobody has asked for it"),
    ],
)
def test_a_volume_is_where_its_pod_is(attachments: tuple[VolumeAttachment, ...], said: str) -> None:
    volume = PersistentVolume(
        metadata=ObjectMeta(name="v"),
        spec=VolumeSpec(claim_ref=ClaimReference(namespace="n", name="data")),
    )
    moved = moved_volumes({"n/data": "n/db-0"}, (volume,))
    claims: Any = ({"name": "x", "persistentVolumeClaim": {"claimName": "data"}},)
    spec = msgspec.convert({"nodeName": "b", "volumes": claims}, PodSpec)
    bound = msgspec.structs.replace(pod("db-0", "b"), spec=spec)
    pending = msgspec.structs.replace(bound, spec=msgspec.structs.replace(spec, node_name=""))
    assert not_attached(moved, attachments, (pending,)) == ()
    found = not_attached(moved, attachments, (bound,))
    assert "".join(each.message for each in found).endswith(said)
    assert bool(found) is bool(said)
