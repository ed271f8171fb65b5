"""Everything that the operator needs in a cluster, as manifests. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shipkeeper.backup.cronjob import rules
from shipkeeper.engine.tenure import NAME, NAMESPACE
from shipkeeper.model.disruption import ALWAYS_ALLOW
from shipkeeper.model.restricted import container_security, pod_security
from shipkeeper.model.version import Version
from shipkeeper.operator import grants
from shipkeeper.operator.api.kinds import KINDS
from shipkeeper.operator.backups import backup_job, restore_job
from shipkeeper.operator.backups.grants import (
    BACKUP_JOBS,
    OF_RESTORE_JOBS,
    OWN_EXTRAS,
    RESTORE_JOBS,
)
from shipkeeper.operator.grant import Grant

Manifest = dict[str, Any]

METRICS_PORT = 9464
_RBAC = "rbac.authorization.k8s.io"
# Memory that every container has. A volume would keep the node from being drained: what is in an
# emptyDir is lost with its pod, and nobody but us knows that this is no loss.
_STATE = "/dev/shm"  # noqa: S108 - nobody else is in the pod
_BUDGET_V1 = Version(1, 21, 0)
# A budget may let unready pods go since then. Source: KEP-3017.
_LETS_UNREADY_GO = Version(1, 27, 0)
_PART_OF = {"app.kubernetes.io/name": "shipkeeper", "app.kubernetes.io/component": "operator"}
# More than the Events and conditions of a run that stops may take.
_GRACE_SECONDS = 60


class ManifestOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the operator goes and what it may do; `version` is the cluster's.

    `allowed` names what it may do beside the usual (`grants.EXTRAS`); `host_pods` is the namespace
    in which it may start privileged pods, empty for none. `traces` is the URL of who receives its
    traces, empty for nobody, and `trace_headers` the Secret whose key `headers` lets them in.
    One that is `read_only` reports and checks for upgrades, and may write nothing but what it says.
    """

    version: Version
    image: str
    lease: str
    name: str = "shipkeeper-operator"
    namespace: str = "shipkeeper-system"
    replicas: int = 2
    allowed: tuple[str, ...] = ()
    host_pods: str = ""
    traces: str = ""
    trace_headers: str = ""
    read_only: bool = False


def manifests(options: ManifestOptions) -> tuple[Manifest, ...]:
    """All manifests, in the order in which they are to be made."""
    return (
        _namespace(options),
        *definitions(options.version),
        *permissions(options),
        *workload(options),
    )


def definitions(version: Version) -> tuple[Manifest, ...]:
    """The CustomResourceDefinitions, for a server of this version."""
    return tuple(kind.definition(version) for kind in KINDS)


def permissions(options: ManifestOptions) -> tuple[Manifest, ...]:
    """The ServiceAccount, and its roles and their bindings."""
    return (
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _metadata(options, options.namespace),
        },
        *_permissions(options),
    )


def _permissions(options: ManifestOptions) -> Iterator[Manifest]:
    plurals = tuple(kind.plural for kind in KINDS)
    usual = grants.looking_on if options.read_only else grants.everywhere
    yield from _bound(options, "", usual(plurals))
    for name in options.allowed:
        yield from extra(options, name)
    yield from _bound(options, options.namespace, grants.own_namespace(options.lease))
    if not options.read_only:
        yield from _bound(options, NAMESPACE, grants.cluster_lock(NAME), suffix="-lock")
    yield from _bound(options, "default", grants.events(), suffix="-events")
    if options.host_pods:
        yield from host_pods(options)


def extra(options: ManifestOptions, name: str) -> Iterator[Manifest]:
    """The roles, and their bindings, of what is allowed beside the usual."""
    if grants.EXTRAS[name]:
        yield from _bound(options, "", grants.EXTRAS[name], suffix=f"-{name}")
    if name in OWN_EXTRAS:
        yield from _bound(options, options.namespace, OWN_EXTRAS[name], suffix=f"-{name}")
    if name == BACKUP_JOBS:
        found = rules(saves_volumes=True)
        yield from _of_jobs(options, backup_job.ACCOUNT, backup_job.PART_OF, found)
    if name == RESTORE_JOBS:
        found = [each.rule for each in OF_RESTORE_JOBS]
        yield from _of_jobs(options, restore_job.ACCOUNT, restore_job.PART_OF, found)


def _of_jobs(
    options: ManifestOptions, name: str, labels: Mapping[str, str], found: Sequence[Manifest]
) -> Iterator[Manifest]:
    """The ServiceAccount of Jobs, and what it may everywhere."""
    here = {"name": name, "labels": dict(labels)}
    account = {**here, "namespace": options.namespace}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
    yield {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": here,
        "rules": list(found),
    }
    yield {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": here,
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": options.namespace}],
    }


def host_pods(options: ManifestOptions) -> Iterator[Manifest]:
    """The role, and its binding, for privileged pods in one namespace."""
    yield from _bound(options, options.host_pods, grants.HOST_PODS, suffix="-host-pods")


def _bound(
    options: ManifestOptions, namespace: str, found: Sequence[Grant], suffix: str = ""
) -> Iterator[Manifest]:
    """A role in a namespace, or in none, and its binding to the operator's ServiceAccount."""
    prefix = "" if namespace else "Cluster"
    metadata = _metadata(options, namespace, suffix)
    yield {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{prefix}Role",
        "metadata": metadata,
        "rules": [each.rule for each in found],
    }
    yield {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{prefix}RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": metadata["name"]},
        "subjects": [
            {"kind": "ServiceAccount", "name": options.name, "namespace": options.namespace}
        ],
    }


def workload(options: ManifestOptions) -> tuple[Manifest, ...]:
    """The Deployment, and what protects it."""
    return (
        _deployment(options),
        _budget(options),
        _service(options),
        _network_policy(options),
    )


def _namespace(options: ManifestOptions) -> Manifest:
    levels = {f"pod-security.kubernetes.io/{each}": "restricted" for each in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": options.namespace, "labels": levels},
    }


def _metadata(options: ManifestOptions, namespace: str = "", suffix: str = "") -> Manifest:
    metadata: Manifest = {"name": f"{options.name}{suffix}", "labels": dict(_PART_OF)}
    return {**metadata, "namespace": namespace} if namespace else metadata


def _deployment(options: ManifestOptions) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(options, options.namespace),
        "spec": {
            "replicas": options.replicas,
            "selector": {"matchLabels": dict(_PART_OF)},
            "template": {"metadata": {"labels": dict(_PART_OF)}, "spec": pod_spec(options)},
        },
    }


def pod_spec(options: ManifestOptions) -> Manifest:
    """The pod of one replica: no root, nothing to write but its memory, another node each."""
    other_node = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": dict(_PART_OF)},
    }
    return {
        "serviceAccountName": options.name,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": pod_security(),
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "podAffinityTerm": other_node}
                ]
            }
        },
        "containers": [_container(options)],
    }


def _container(options: ManifestOptions) -> Manifest:
    probe = {"httpGet": {"path": "/metrics", "port": "metrics"}, "periodSeconds": 20}
    return {
        "name": "operator",
        "image": options.image,
        "args": ["operator", "run", f"--metrics-address=:{METRICS_PORT}"],
        "env": [
            _from_field("POD_NAME", "metadata.name"),
            _from_field("POD_NAMESPACE", "metadata.namespace"),
            _from_field("NODE_NAME", "spec.nodeName"),
            {"name": "SHIPKEEPER_IMAGE", "value": options.image},
            {"name": "XDG_STATE_HOME", "value": _STATE},
            *_traces(options),
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}],
        "livenessProbe": {**probe, "timeoutSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**probe, "timeoutSeconds": 5},
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": container_security(),
    }


def _traces(options: ManifestOptions) -> Iterator[Manifest]:
    """Variables of OpenTelemetry's own."""
    if not options.traces:
        return
    yield {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": options.traces}
    who = "k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME)"
    yield {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": who}
    if options.trace_headers:
        key = {"name": options.trace_headers, "key": "headers"}
        yield {"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": {"secretKeyRef": key}}


def _from_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _budget(options: ManifestOptions) -> Manifest:
    version = "v1beta1" if options.version < _BUDGET_V1 else "v1"
    # Replicas that cannot start must not keep nodes from being drained.
    unready: Manifest = (
        {} if options.version < _LETS_UNREADY_GO else {"unhealthyPodEvictionPolicy": ALWAYS_ALLOW}
    )
    return {
        "apiVersion": f"policy/{version}",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(options, options.namespace),
        "spec": {"maxUnavailable": 1, **unready, "selector": {"matchLabels": dict(_PART_OF)}},
    }


def _service(options: ManifestOptions) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(options, options.namespace),
        "spec": {
            "clusterIP": "None",
            "selector": dict(_PART_OF),
            # Server-side apply of old API servers takes no port without its protocol.
            "ports": [
                {
                    "name": "metrics",
                    "port": METRICS_PORT,
                    "targetPort": "metrics",
                    "protocol": "TCP",
                }
            ],
        },
    }


def _network_policy(options: ManifestOptions) -> Manifest:
    """Nobody comes in but for metrics; it goes out to the API server, DNS and metrics servers."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(options, options.namespace),
        "spec": {
            "podSelector": {"matchLabels": dict(_PART_OF)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": METRICS_PORT}]}],
            # Where the API server and object stores are differs from cluster to cluster.
            "egress": [
                {
                    "ports": [
                        {"protocol": "UDP", "port": 53},
                        {"protocol": "TCP", "port": 53},
                        {"protocol": "TCP", "port": 443},
                        {"protocol": "TCP", "port": 6443},
                        {"protocol": "TCP", "port": 9090},
                        {"protocol": "TCP", "port": 10250},
                        *({"protocol": "TCP", "port": port} for port in _ports_of_traces(options)),
                    ]
                }
            ],
        },
    }


def _ports_of_traces(options: ManifestOptions) -> Iterator[int]:
    """Where its traces go; ports of HTTP itself are not written in a URL."""
    if options.traces:
        found = urlsplit(options.traces)
        yield found.port or (443 if found.scheme == "https" else 80)


def as_text(found: Sequence[Manifest]) -> str:
    """Manifests as YAML, for `kubectl apply -f -`."""
    return "---\n".join(msgspec.yaml.encode(each).decode() for each in found)
