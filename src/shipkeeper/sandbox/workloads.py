"""Manifests of workloads for trying things on hollow nodes; every value can be set."""

from typing import Any

import msgspec

from shipkeeper.kube.resources import (
    BUDGETS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Resource,
)
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.pod import Toleration
from shipkeeper.sandbox.hollow.lifecycle import READY_AFTER_ANNOTATION, STOPS_AFTER_ANNOTATION

HOSTNAME_LABEL = "kubernetes.io/hostname"
APP_LABEL = "app"
# A name only: hollow nodes pull nothing.
IMAGE = "registry.k8s.io/pause:3.9"

Manifest = dict[str, Any]


class PodShape(KubeStruct, frozen=True, kw_only=True):
    """What a pod is like, whoever makes it.

    Durations of the hollow kubelet are kubectl's (`1s`); empty means the node's own. Pods of one
    app are spread evenly over the values of the node label `spread_over`; with `apart` no two of
    them share a node.
    """

    labels: dict[str, str] = {}
    grace_seconds: int = 30
    ready_after: str = ""
    stops_after: str = ""
    tolerations: tuple[Toleration, ...] = ()
    node_selector: dict[str, str] = {}
    spread_over: str = ""
    apart: bool = False
    empty_dir: bool = False
    cpu: str = "10m"


PLAIN = PodShape()
EVERYWHERE = PodShape(tolerations=(Toleration(operator="Exists"),))


def namespace(name: str) -> Manifest:
    """A namespace."""
    return _manifest(NAMESPACES, {"name": name}, {})


def deployment(
    name: str, namespace: str, *, replicas: int = 1, shape: PodShape = PLAIN
) -> Manifest:
    """A Deployment; its pods carry the label `app=<name>`."""
    return _controller(DEPLOYMENTS, name, namespace, shape, {"replicas": replicas})


def replica_set(
    name: str, namespace: str, *, replicas: int = 1, shape: PodShape = PLAIN
) -> Manifest:
    """A ReplicaSet of its own; its pods carry the label `app=<name>`."""
    return _controller(REPLICA_SETS, name, namespace, shape, {"replicas": replicas})


def stateful_set(
    name: str, namespace: str, *, replicas: int = 1, shape: PodShape = PLAIN
) -> Manifest:
    """A StatefulSet; its pods carry the label `app=<name>`."""
    spec = {"replicas": replicas, "serviceName": name}
    return _controller(STATEFUL_SETS, name, namespace, shape, spec)


def daemon_set(name: str, namespace: str, *, shape: PodShape = EVERYWHERE) -> Manifest:
    """A DaemonSet that tolerates every taint; its pods carry the label `app=<name>`."""
    return _controller(DAEMON_SETS, name, namespace, shape, {})


def bare_pod(name: str, namespace: str, *, shape: PodShape = PLAIN) -> Manifest:
    """A pod that nothing would make again, with the label `app=<name>`."""
    template = _template(name, shape)
    metadata = {"name": name, "namespace": namespace, **template["metadata"]}
    return _manifest(PODS, metadata, template["spec"])


def budget(
    name: str,
    namespace: str,
    covered: dict[str, str],
    *,
    min_available: int | str | None = None,
    max_unavailable: int | str | None = None,
) -> Manifest:
    """A PodDisruptionBudget over the pods with these labels; one of the limits is to be set."""
    limits = {"minAvailable": min_available, "maxUnavailable": max_unavailable}
    return _manifest(
        BUDGETS,
        {"name": name, "namespace": namespace},
        {
            **{key: value for key, value in limits.items() if value is not None},
            "selector": {"matchLabels": covered},
        },
    )


def _controller(
    resource: Resource[KubeObject],
    name: str,
    namespace: str,
    shape: PodShape,
    spec: dict[str, Any],
) -> Manifest:
    selector = {"matchLabels": {APP_LABEL: name}}
    return _manifest(
        resource,
        {"name": name, "namespace": namespace},
        {**spec, "selector": selector, "template": _template(name, shape)},
    )


def _manifest(
    resource: Resource[KubeObject], metadata: dict[str, Any], spec: dict[str, Any]
) -> Manifest:
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**head, "metadata": metadata, "spec": spec}


def _template(app: str, shape: PodShape) -> dict[str, Any]:
    durations = {
        READY_AFTER_ANNOTATION: shape.ready_after,
        STOPS_AFTER_ANNOTATION: shape.stops_after,
    }
    return {
        "metadata": {
            "labels": {APP_LABEL: app, **shape.labels},
            "annotations": {key: value for key, value in durations.items() if value},
        },
        "spec": {
            "terminationGracePeriodSeconds": shape.grace_seconds,
            "nodeSelector": shape.node_selector,
            "tolerations": msgspec.to_builtins(shape.tolerations),
            "containers": [
                {"name": "main", "image": IMAGE, "resources": {"requests": {"cpu": shape.cpu}}}
            ],
            **_volumes(shape),
            **_placement(app, shape),
        },
    }


def _volumes(shape: PodShape) -> dict[str, Any]:
    return {"volumes": [{"name": "scratch", "emptyDir": {}}]} if shape.empty_dir else {}


def _placement(app: str, shape: PodShape) -> dict[str, Any]:
    placement: dict[str, Any] = {}
    selector = {"labelSelector": {"matchLabels": {APP_LABEL: app}}}
    if shape.spread_over:
        even = {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
        placement["topologySpreadConstraints"] = [
            {"topologyKey": shape.spread_over, **even, **selector}
        ]
    if shape.apart:
        rule = "requiredDuringSchedulingIgnoredDuringExecution"
        terms = [{"topologyKey": HOSTNAME_LABEL, **selector}]
        placement["affinity"] = {"podAntiAffinity": {rule: terms}}
    return placement
