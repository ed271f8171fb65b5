"""Which pods a drain moves, leaves, or refuses: kubectl's filters, each with its own verdict.

The rules and their order are those of kubectl pkg/drain/filters.go, after one of our own. Unlike
there, every filter looks at every pod, so that a user sees all reasons at once. The first filter
that does not let a pod pass decides what becomes of it.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.meta import OwnerReference
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.work_pod import is_work_pod

DAEMON_SET_REFUSED = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
LOCAL_STORAGE_REFUSED = "Pods with local storage (use --delete-emptydir-data to override)"
UNREPLICATED_REFUSED = "Pods that declare no controller (use --force to override)"

# On a node that DaemonSets are to start no pods on; its value is the run that put it there.
DAEMONS_TAINT = "shipkeeper.dev/maintenance"

# What kubectl says of a refused pod, by the reason of the verdict.
REFUSALS = {
    "DaemonSetManaged": DAEMON_SET_REFUSED,
    "LocalStorage": LOCAL_STORAGE_REFUSED,
    "Unreplicated": UNREPLICATED_REFUSED,
}


class FilterInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the filters know besides the pod: the options, the DaemonSets, and what time it is."""

    options: DrainOptions
    daemon_sets: frozenset[str]
    now: datetime


Filter = Callable[[Pod, FilterInput], Verdict | None]


def apply_filters(pod: Pod, given: FilterInput) -> tuple[Verdict, ...]:
    """Every filter's verdict on a pod, in kubectl's order; empty if nothing is to be said."""
    verdicts = (each(pod, given) for each in FILTERS)
    return tuple(verdict for verdict in verdicts if verdict is not None)


def long_deleted(pod: Pod, given: FilterInput) -> Verdict | None:
    """Pods whose deletion was due more than N seconds ago are not waited for."""
    limit = given.options.skip_wait_for_delete_timeout
    if not is_long_deleted(pod, limit, given.now):
        return None
    return _verdict(
        pod,
        Effect.SKIP,
        "LongDeleted",
        f"its deletion was due more than {limit}s ago",
        since=pod.metadata.deletion_timestamp,
    )


def is_long_deleted(pod: Pod, limit: int, now: datetime) -> bool:
    """Whether a pod's deletion was due more than `limit` seconds ago; never if the limit is 0."""
    due = pod.metadata.deletion_timestamp
    return limit > 0 and due is not None and (now - due).total_seconds() > limit


def daemon_set_of(pod: Pod) -> OwnerReference | None:
    """The DaemonSet that controls a pod, whether it exists or not; other groups' do not count."""
    owner = pod.metadata.controller
    if owner is None or (owner.api_version, owner.kind) != ("apps/v1", "DaemonSet"):
        return None
    return owner


def daemon_set(pod: Pod, given: FilterInput) -> Verdict | None:
    """Pods of a DaemonSet would come back at once; finished ones may go."""
    owner = daemon_set_of(pod)
    if owner is None or pod.is_finished:
        return None
    if f"{pod.namespace}/{owner.name}" not in given.daemon_sets:
        return _missing_daemon_set(pod, owner.name, is_forced=given.options.force)
    if given.options.daemon_sets_last:
        return _leaving_last(pod, owner.name)
    if given.options.ignore_daemonsets:
        return _verdict(
            pod, Effect.SKIP, "DaemonSetManaged", f"DaemonSet {owner.name} keeps it on this node"
        )
    return _verdict(
        pod,
        Effect.BLOCK,
        "DaemonSetManaged",
        f"DaemonSet {owner.name} would start it again at once",
        remedy="leave such pods where they are with --ignore-daemonsets",
    )


def _leaving_last(pod: Pod, owner: str) -> Verdict:
    if stays_with_daemons(pod):
        message = f"DaemonSet {owner} keeps it on this node, whatever its taints"
        return _verdict(pod, Effect.SKIP, "DaemonSetManaged", message)
    message = f"DaemonSet {owner} keeps it on this node until all others are gone"
    return _verdict(pod, Effect.SKIP, "DaemonSetLast", message)


def stays_with_daemons(pod: Pod) -> bool:
    """Whether a DaemonSet would start its pod again past the taint that keeps such pods away."""
    return pod.toleration_for(DAEMONS_TAINT, "NoSchedule") is not None


def _missing_daemon_set(pod: Pod, owner: str, *, is_forced: bool) -> Verdict:
    message = f'daemonsets.apps "{owner}" not found'
    if is_forced:
        return _verdict(pod, Effect.WARN, "DaemonSetMissing", f"{message}; it is deleted for good")
    return _verdict(
        pod,
        Effect.BLOCK,
        "DaemonSetMissing",
        message,
        remedy="delete the pod, or let the drain delete it for good with --force",
    )


def mirror(pod: Pod, _given: FilterInput) -> Verdict | None:
    """Mirror pods stand for static pods, which only their kubelet can end."""
    if not pod.is_mirror:
        return None
    return _verdict(pod, Effect.SKIP, "MirrorPod", "it mirrors a static pod of the kubelet")


def local_storage(pod: Pod, given: FilterInput) -> Verdict | None:
    """What is in an emptyDir is lost when the pod goes."""
    if not pod.uses_empty_dir or pod.is_finished:
        return None
    volumes = ", ".join(v.name for v in pod.spec.volumes if v.empty_dir is not None)
    if given.options.delete_emptydir_data:
        return _verdict(pod, Effect.WARN, "LocalStorage", f"the data in emptyDir {volumes} is lost")
    return _verdict(
        pod,
        Effect.BLOCK,
        "LocalStorage",
        f"the data in emptyDir {volumes} would be lost",
        remedy="save what is needed, then give it up with --delete-emptydir-data",
    )


def work_pod(pod: Pod, _given: FilterInput) -> Verdict | None:
    """A pod of ours is how a host is being worked on; its own run removes it."""
    if not is_work_pod(pod):
        return None
    return _verdict(pod, Effect.SKIP, "WorkPod", "a maintenance works on the host through it")


def unreplicated(pod: Pod, given: FilterInput) -> Verdict | None:
    """A pod without a controller does not come back anywhere."""
    if pod.metadata.controller is not None or pod.is_finished:
        return None
    if given.options.force:
        return _verdict(
            pod, Effect.WARN, "Unreplicated", "no controller brings it back; it is gone for good"
        )
    return _verdict(
        pod,
        Effect.BLOCK,
        "Unreplicated",
        "no controller would bring it back",
        remedy="put it under a controller, delete it, or give it up with --force",
    )


FILTERS: tuple[Filter, ...] = (
    work_pod,
    long_deleted,
    daemon_set,
    mirror,
    local_storage,
    unreplicated,
)


def _verdict(
    pod: Pod,
    effect: Effect,
    reason: str,
    message: str,
    *,
    remedy: str = "",
    since: datetime | None = None,
) -> Verdict:
    return Verdict(
        target=f"pod/{pod.key}",
        effect=effect,
        reason=reason,
        message=message,
        remedy=remedy,
        since=since,
    )
