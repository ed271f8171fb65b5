"""A cluster that stands still: every time and identity is fixed."""

from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.model.disruption import BudgetSpec, BudgetStatus, PodDisruptionBudget
from shipkeeper.model.meta import Condition, ObjectMeta, OwnerReference
from shipkeeper.model.node import (
    UNREACHABLE_TAINT,
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
)
from shipkeeper.model.pod import ClaimSource, Pod, PodSpec, PodStatus, Toleration, Volume
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.model.selector import LabelSelector
from shipkeeper.model.storage import (
    ClaimSpec,
    PersistentVolume,
    PersistentVolumeClaim,
    VolumeSpec,
)
from shipkeeper.model.version import Version
from shipkeeper.nodes.cordon import OWNER_ANNOTATION
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.loss.observe import LossState, Storage
from shipkeeper.nodes.observe import ClusterState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
READY = Condition(type="Ready", status="True")
SILENT = Condition(type="Ready", status="Unknown", last_transition_time=NOW - timedelta(minutes=7))
FIVE_MINUTES = Toleration(
    key=UNREACHABLE_TAINT, operator="Exists", effect="NoExecute", toleration_seconds=300
)
FOREVER = Toleration(operator="Exists")


def make_node(
    name: str,
    *,
    ready: Condition | None = READY,
    cordoned_by: str | None = None,
    roles: tuple[str, ...] = (),
    zone: str = "zone-1",
) -> Node:
    """A node; one that is cordoned by nobody known has an empty owner."""
    labels = {f"node-role.kubernetes.io/{role}": "" for role in roles}
    return Node(
        metadata=ObjectMeta(
            name=name,
            uid=f"uid-{name}",
            creation_timestamp=NOW - timedelta(days=12),
            labels={**labels, "topology.kubernetes.io/zone": zone},
            annotations={OWNER_ANNOTATION: cordoned_by} if cordoned_by else {},
        ),
        spec=NodeSpec(unschedulable=cordoned_by is not None),
        status=NodeStatus(
            allocatable={"cpu": "4", "memory": "8Gi", "pods": "110"},
            conditions=(ready,) if ready else (),
            addresses=(NodeAddress(type="InternalIP", address="10.1.0.1"),),
            node_info=NodeSystemInfo(
                boot_id="boot",
                kernel_version="6.12.8",
                os_image="Debian GNU/Linux 12",
                container_runtime_version="containerd://2.1.0",
                kubelet_version="v1.37.2",
            ),
        ),
    )


def make_pod(
    name: str,
    node: str,
    *,
    owner: str = "",
    volumes: tuple[Volume, ...] = (),
    tolerations: tuple[Toleration, ...] = (FIVE_MINUTES,),
    phase: str = "Running",
    annotations: dict[str, str] | None = None,
) -> Pod:
    """A pod in namespace `shop` with label `app`; `owner` is `Kind/name`."""
    kind, _, owner_name = owner.partition("/")
    reference = OwnerReference(
        api_version="apps/v1", kind=kind, name=owner_name, uid=f"uid-{owner_name}", controller=True
    )
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="shop",
            uid=f"uid-{name}",
            labels={"app": name.partition("-")[0]},
            annotations=annotations or {},
            owner_references=(reference,) if owner else (),
        ),
        spec=PodSpec(node_name=node, volumes=volumes, tolerations=tolerations),
        status=PodStatus(phase=phase, conditions=(READY,) if phase == "Running" else ()),
    )


def make_budget(
    app: str, *, allowed: int, healthy: int, desired: int, expected: int
) -> PodDisruptionBudget:
    """A budget over the pods of an app, used up two minutes ago if it allows nothing."""
    exhausted = Condition(
        type="DisruptionAllowed",
        status="False",
        reason="InsufficientPods",
        last_transition_time=NOW - timedelta(minutes=2),
    )
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=app, namespace="shop", uid=f"uid-pdb-{app}"),
        spec=BudgetSpec(max_unavailable=1, selector=LabelSelector(match_labels={"app": app})),
        status=BudgetStatus(
            disruptions_allowed=allowed,
            current_healthy=healthy,
            desired_healthy=desired,
            expected_pods=expected,
            conditions=() if allowed else (exhausted,),
        ),
    )


EMPTY_DIR = Volume(name="scratch", empty_dir={})
PODS = (
    make_pod("web-1", "node-1", owner="ReplicaSet/web"),
    make_pod("cache-1", "node-1", owner="ReplicaSet/cache", volumes=(EMPTY_DIR,)),
    make_pod("agent-1", "node-1", owner="DaemonSet/agent", tolerations=(FOREVER,)),
    make_pod("lonely", "node-1"),
    make_pod("done", "node-1", phase="Succeeded"),
    make_pod("db-0", "node-2", owner="StatefulSet/db"),
    make_pod("queue-1", "node-2", owner="ReplicaSet/queue"),
    make_pod("web-2", "node-3", owner="ReplicaSet/web"),
)
BUDGETS = (
    make_budget("web", allowed=1, healthy=2, desired=1, expected=2),
    make_budget("queue", allowed=0, healthy=1, desired=1, expected=2),
    make_budget("db", allowed=0, healthy=1, desired=1, expected=1),
)
CLUSTER = ClusterState(
    nodes=(
        make_node("node-1"),
        make_node("node-2", zone="zone-2", roles=("control-plane",)),
        make_node("node-3", ready=SILENT, cordoned_by="drain/drain-1"),
        make_node("node-4", ready=None, cordoned_by="", zone=""),
    ),
    pods=PODS,
    budgets=BUDGETS,
    daemon_sets=frozenset({"shop/agent"}),
    eviction_version="v1",
    budget_version="v1",
)


FLEET = FleetState(
    **{field: getattr(CLUSTER, field) for field in CLUSTER.__struct_fields__},
    cluster=CLUSTER.nodes,
    everything=tuple(
        msgspec.json.decode(msgspec.json.encode(pod), type=SchedulablePod) for pod in PODS
    ),
    volumes={},
)


def with_priority(pod: SchedulablePod, priority: int) -> SchedulablePod:
    """A pod of another priority."""
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, priority=priority))


# The same with a critical pod, and with a DaemonSet whose pod tolerates no taint of ours.
_CRITICAL = {"cache-1": 2_000_001_000}
_EVERYTHING = (
    *(with_priority(pod, _CRITICAL.get(pod.name, 0)) for pod in FLEET.everything),
    msgspec.convert(
        msgspec.to_builtins(make_pod("logs-1", "node-1", owner="DaemonSet/logs")), SchedulablePod
    ),
)
DEPARTING = msgspec.structs.replace(
    FLEET,
    pods=_EVERYTHING,
    everything=_EVERYTHING,
    daemon_sets=frozenset({"shop/agent", "shop/logs"}),
)


def make_claim(name: str, volume: str) -> PersistentVolumeClaim:
    """A claim in namespace `shop` that is bound to a volume."""
    metadata = ObjectMeta(name=name, namespace="shop")
    return PersistentVolumeClaim(metadata=metadata, spec=ClaimSpec(volume_name=volume))


def make_volume(name: str, spec: VolumeSpec) -> PersistentVolume:
    """A PersistentVolume."""
    return PersistentVolume(metadata=ObjectMeta(name=name), spec=spec)


def mounts(claim: str) -> tuple[Volume, ...]:
    """The volumes of a pod that mounts one claim."""
    return (Volume(name="data", persistent_volume_claim=ClaimSource(claim_name=claim)),)


LOSS = LossState(
    node=make_node("node-1"),
    is_other_node_ready=True,
    pods=(
        *(pod for pod in PODS if pod.spec.node_name == "node-1"),
        make_pod(
            "static-1",
            "node-1",
            owner="Node/node-1",
            annotations={"kubernetes.io/config.mirror": "x"},
        ),
        make_pod("disk-0", "node-1", owner="StatefulSet/disk", volumes=mounts("local")),
        make_pod("share-1", "node-1", owner="ReplicaSet/share", volumes=mounts("shared")),
        make_pod("block-1", "node-1", owner="ReplicaSet/block", volumes=mounts("block")),
        make_pod("quick-1", "node-1", owner="ReplicaSet/quick", tolerations=()),
        make_pod("patient-1", "node-1", owner="ReplicaSet/patient", tolerations=(FOREVER,)),
    ),
    others=(
        make_pod("web-2", "node-3", owner="ReplicaSet/web"),
        make_pod("share-2", "node-3", owner="ReplicaSet/share"),
    ),
    budgets=(make_budget("web", allowed=0, healthy=2, desired=2, expected=2),),
    storage=Storage(
        claims=(
            make_claim("local", "pv-local"),
            make_claim("shared", "pv-shared"),
            make_claim("block", "pv-block"),
        ),
        volumes=(
            make_volume("pv-local", VolumeSpec(local={}, access_modes=("ReadWriteOnce",))),
            make_volume("pv-shared", VolumeSpec(csi={}, access_modes=("ReadWriteMany",))),
            make_volume("pv-block", VolumeSpec(csi={}, access_modes=("ReadWriteOnce",))),
        ),
        attached=frozenset({"pv-shared", "pv-block"}),
    ),
    version=Version(1, 37, 2),
    is_policy_v1=True,
)
