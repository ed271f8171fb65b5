"""What can be said of a pod whose node is lost: each rule looks at every pod, the worst wins."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.node import UNREACHABLE_TAINT
from shipkeeper.model.pod import Pod
from shipkeeper.model.version import Version
from shipkeeper.nodes.loss.observe import LossState

# On by default since 1.26; the taint means nothing to older control planes.
_FIRST_OUT_OF_SERVICE = Version(1, 26, 0)
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"


class Fate(StrEnum):
    """What becomes of a pod, worst first.

    LOST: nothing brings it back. NODE_BOUND: its data is on the node, it runs there or nowhere.
    STUCK: comes back once the node object is deleted, or tainted out-of-service. STAYS: is never
    deleted, comes back with the node. REPLACED: another one starts on another node. FINISHED: it
    ran to its end before.
    """

    LOST = "Lost"
    NODE_BOUND = "NodeBound"
    STUCK = "Stuck"
    STAYS = "Stays"
    REPLACED = "Replaced"
    FINISHED = "Finished"


class LossInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules know besides the pod; `deleted_after` is its deletion's time if it has one."""

    state: LossState
    deleted_after: timedelta | None

    @property
    def settle(self) -> str:
        """What an administrator who knows that the machine is off can do."""
        node = self.state.node.name
        delete = f"kubectl delete node {node}"
        if self.state.version < _FIRST_OUT_OF_SERVICE:
            return f"once the machine is known to be off: {delete}"
        return (
            f"once the machine is known to be off: kubectl taint node {node} {_OUT_OF_SERVICE}, "
            f"or {delete}"
        )


Finding = tuple[Fate, Verdict]
Rule = Callable[[Pod, LossInput], Finding | None]


def static_pod(pod: Pod, _given: LossInput) -> Finding | None:
    """Only the node's own kubelet runs its static pods."""
    if not pod.is_mirror:
        return None
    return Fate.STAYS, pod_verdict(pod, "StaticPod", "only this node's kubelet can run it")


def tolerates_forever(pod: Pod, given: LossInput) -> Finding | None:
    """A pod that bears the taint without a limit waits for its node."""
    if given.deleted_after is not None or pod.is_mirror or not given.state.is_other_node_ready:
        return None
    owner = pod.metadata.controller
    if owner is not None and owner.kind == "DaemonSet":
        return Fate.STAYS, pod_verdict(
            pod, "DaemonSetManaged", f"DaemonSet {owner.name} keeps it on this node"
        )
    return Fate.STAYS, pod_verdict(
        pod,
        "ToleratesForever",
        f"it tolerates {UNREACHABLE_TAINT} without a limit and waits for the node to come back",
        remedy="give that toleration a tolerationSeconds",
    )


def unreplicated(pod: Pod, given: LossInput) -> Finding | None:
    """A pod without a controller does not come back anywhere."""
    if given.deleted_after is None or pod.metadata.controller is not None:
        return None
    return Fate.LOST, pod_verdict(
        pod,
        "Unreplicated",
        "it is deleted, and no controller brings it back",
        remedy="put it under a controller",
    )


def stateful_set(pod: Pod, given: LossInput) -> Finding | None:
    """A StatefulSet starts no pod while one of the same name may still run."""
    owner = pod.metadata.controller
    if given.deleted_after is None or owner is None or owner.kind != "StatefulSet":
        return None
    return Fate.STUCK, pod_verdict(
        pod,
        "StatefulSetStuck",
        f"it stays Terminating, and StatefulSet {owner.name} starts no other one meanwhile",
        remedy=given.settle,
    )


def local_volume(pod: Pod, given: LossInput) -> Finding | None:
    """Data on the node's own disk cannot be had anywhere else."""
    names = [
        volume.name for volume in given.state.storage.volumes_of(pod) if volume.spec.is_on_node
    ]
    if given.deleted_after is None or not names:
        return None
    return Fate.NODE_BOUND, pod_verdict(
        pod,
        "LocalVolume",
        f"the data of PersistentVolume {', '.join(names)} is on this node's disk alone",
        remedy="if the node does not come back: restore the data from a backup to a new volume",
    )


def attached_volume(pod: Pod, given: LossInput) -> Finding | None:
    """A volume that one node may hold at a time is not let go by a node that is silent."""
    names = [
        volume.name
        for volume in given.state.storage.volumes_of(pod)
        if volume.name in given.state.storage.attached and not volume.spec.is_shared
    ]
    if given.deleted_after is None or not names:
        return None
    return Fate.STUCK, pod_verdict(
        pod,
        "VolumeAttached",
        f"PersistentVolume {', '.join(names)} stays attached to this node, so no other pod can "
        "start with it (after a deletion of the node it is detached by force after 6 minutes)",
        remedy=given.settle,
    )


def empty_dir(pod: Pod, given: LossInput) -> Finding | None:
    """What is in an emptyDir ends with the pod."""
    if given.deleted_after is None or not pod.uses_empty_dir:
        return None
    names = ", ".join(volume.name for volume in pod.spec.volumes if volume.empty_dir is not None)
    return Fate.REPLACED, pod_verdict(pod, "LocalStorage", f"the data in emptyDir {names} is lost")


RULES: tuple[Rule, ...] = (
    static_pod,
    tolerates_forever,
    unreplicated,
    stateful_set,
    local_volume,
    attached_volume,
    empty_dir,
)


def pod_verdict(pod: Pod, reason: str, message: str, *, remedy: str = "") -> Verdict:
    """A verdict on a pod, as a warning: a loss asks nobody."""
    return Verdict(
        target=f"pod/{pod.key}", effect=Effect.WARN, reason=reason, message=message, remedy=remedy
    )
