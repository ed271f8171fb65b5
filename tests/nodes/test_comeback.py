from shipkeeper.model.container import ContainerStatus, StartedPod, StartedPodStatus
from shipkeeper.model.meta import Condition, ObjectMeta, OwnerReference
from shipkeeper.model.node import Node, NodeSpec, Taint
from shipkeeper.nodes.comeback import Residents, closing_taints


def pod(owner: str, container: str, *, ready: bool = True, kind: str = "DaemonSet") -> StartedPod:
    reference = OwnerReference(
        api_version="apps/v1", kind=kind, name=owner, uid=owner, controller=True
    )
    return StartedPod(
        metadata=ObjectMeta(name=owner, namespace="net", owner_references=(reference,)),
        status=StartedPodStatus(
            phase="Running",
            conditions=(Condition(type="Ready", status=str(ready)),),
            container_statuses=(ContainerStatus(name="c", container_id=container, ready=ready),),
        ),
    )


BEFORE = Residents.of(
    [pod("cni", "1"), pod("broken", "2", ready=False), pod("web", "3", kind="ReplicaSet")]
)


def test_only_daemon_sets_that_were_ready_are_waited_for() -> None:
    assert BEFORE.missing([], rebooted=False) == ("net/cni",)


def test_after_a_reboot_a_pod_is_back_with_another_container() -> None:
    assert BEFORE.missing([pod("cni", "1")], rebooted=True) == ("net/cni",)
    assert BEFORE.missing([pod("cni", "9", ready=False)], rebooted=True) == ("net/cni",)
    assert BEFORE.missing([pod("cni", "9")], rebooted=True) == ()
    assert BEFORE.missing([pod("cni", "1")], rebooted=False) == ()


def test_taints_that_close_a_node() -> None:
    taints = (
        Taint(key="node.kubernetes.io/not-ready", effect="NoExecute"),
        Taint(key="node.kubernetes.io/network-unavailable", effect="NoSchedule"),
        Taint(key="node.kubernetes.io/unreachable", effect="PreferNoSchedule"),
        Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule"),
        Taint(key="example.com/gpu", effect="NoSchedule"),
    )
    node = Node(metadata=ObjectMeta(name="n"), spec=NodeSpec(taints=taints))
    assert closing_taints(node) == (
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/network-unavailable",
    )
