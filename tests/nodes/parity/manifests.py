"""A generated cluster as manifests; node and namespace have the name of its place."""

from typing import Any

from shipkeeper.model.pod import MIRROR_ANNOTATION
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.hollow.lifecycle import HANG_DELETION_ANNOTATION
from shipkeeper.sandbox.workloads import Manifest
from tests.nodes.parity.clusters import (
    DAEMON_SET,
    NODE,
    Application,
    Budget,
    Cluster,
    Owner,
    PodState,
)

TIER_LABEL = "tier"
_UNREADY = frozenset({PodState.UNREADY, PodState.PENDING})


def pod_manifests(cluster: Cluster, place: str, node_uid: str) -> list[Manifest]:
    """The pods, bound to their node past the scheduler; of their owners only the node exists."""
    return [
        _pod(application, name, state, place, node_uid)
        for application in cluster.applications
        for name, state in application.pods.items()
    ]


def _pod(
    application: Application, name: str, state: PodState, place: str, node_uid: str
) -> Manifest:
    shape = workloads.PodShape(
        labels={workloads.APP_LABEL: application.name, TIER_LABEL: application.tier},
        grace_seconds=application.grace_seconds,
        ready_after="1h" if state in _UNREADY else "",
        empty_dir=application.uses_empty_dir,
    )
    manifest = workloads.bare_pod(name, place, shape=shape)
    metadata, spec = manifest["metadata"], manifest["spec"]
    spec |= {"nodeName": place, "automountServiceAccountToken": False}
    if application.owner is not None:
        metadata["ownerReferences"] = [_reference(application.owner, place, node_uid)]
    if application.is_mirror:
        metadata["annotations"][MIRROR_ANNOTATION] = "static"
    if application.never_ends or state.is_deleting:
        metadata["annotations"][HANG_DELETION_ANNOTATION] = ""
    return manifest


def _reference(owner: Owner, node: str, node_uid: str) -> dict[str, Any]:
    is_node = owner == NODE
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": node if is_node else owner.name,
        "uid": node_uid if is_node else "00000000-0000-0000-0000-000000000000",
        "controller": owner.is_controller,
    }


def budget_manifests(cluster: Cluster, place: str) -> list[Manifest]:
    """The budgets of the applications, one over everything, and one over nothing."""
    manifests = [
        _budget(f"{application.name}-{number}", application.name, budget, place)
        for application in cluster.applications
        for number, budget in enumerate(application.budgets)
    ]
    if cluster.has_wide_budget:
        # Lenient, so that pods of several applications never vie for one disruption.
        wide = _budget("wide", "", Budget(min_available=0, is_lenient=True), place)
        manifests.append(_with(wide, selector={}))
    if cluster.has_blind_budget:
        blind = _budget("blind", "", Budget(min_available=9), place)
        del blind["spec"]["selector"]
        manifests.append(blind)
    return manifests


def _budget(name: str, application: str, budget: Budget, place: str) -> Manifest:
    manifest = workloads.budget(
        name,
        place,
        {workloads.APP_LABEL: application},
        min_available=budget.min_available,
        max_unavailable=1 if budget.min_available is None else None,
    )
    return (
        _with(manifest, unhealthyPodEvictionPolicy="AlwaysAllow") if budget.is_lenient else manifest
    )


def _with(manifest: Manifest, **spec: Any) -> Manifest:
    return {**manifest, "spec": {**manifest["spec"], **spec}}


def daemon_set_manifests(cluster: Cluster, place: str) -> list[Manifest]:
    """The DaemonSet that exists, if an application names it; no controller makes its pods."""
    owners = [application.owner for application in cluster.applications]
    if not any(owner is not None and owner.name == DAEMON_SET for owner in owners):
        return []
    return [workloads.daemon_set(DAEMON_SET, place)]
