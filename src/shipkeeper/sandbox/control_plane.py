"""The command lines of a control plane, as pure functions of where everything is.

Flags are those of kube-apiserver, kube-controller-manager and kube-scheduler 1.20 to 1.37 and of
etcd 3.4 to 3.7; what only some of them know depends on the version.
"""

from typing import Any

import msgspec

from shipkeeper.sandbox import hollow, names
from shipkeeper.sandbox.assets import Assets
from shipkeeper.sandbox.assets.versions import version_key
from shipkeeper.sandbox.layout import Layout
from shipkeeper.sandbox.record import Ports

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # One line a request: the stages before the answer is complete are left out.
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}

# From this minor on, controller manager and scheduler have no plain-HTTP port to be closed.
# First minor version that reads a format of the scheduler's configuration, newest first.
_SCHEDULER_FORMATS = ((25, "v1"), (0, "v1beta2"))
_NO_INSECURE_PORT = 23


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a sandbox."""

    name: str
    command: tuple[str, ...]


class ControlPlane(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that command lines are made of."""

    layout: Layout
    ports: Ports
    assets: Assets
    node_monitor_grace_seconds: int | None = None


def etcd(plane: ControlPlane) -> Component:
    """A single etcd member that trusts certificates of its own authority alone."""
    layout, url = plane.layout, f"https://127.0.0.1:{plane.ports.etcd}"
    certificate, key = layout.certificate(names.ETCD), layout.key(names.ETCD)
    authority = layout.certificate(names.ETCD_CA)
    # A single member has no peers, but etcd insists on listening for them: any port will do.
    peers = "https://127.0.0.1:0"
    return Component(
        name=names.ETCD,
        command=(
            str(plane.assets.etcd),
            "--name=sandbox",
            f"--data-dir={layout.etcd_data}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=sandbox={peers}",
            f"--cert-file={certificate}",
            f"--key-file={key}",
            f"--trusted-ca-file={authority}",
            "--client-cert-auth",
            f"--peer-cert-file={certificate}",
            f"--peer-key-file={key}",
            f"--peer-trusted-ca-file={authority}",
            "--peer-client-cert-auth",
            # A sandbox may be lost with the machine's power; waiting for the disk is most of a
            # write's time.
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--logger=zap",
            "--log-level=warn",
        ),
    )


def api_server(plane: ControlPlane) -> Component:
    """The API server: TLS alone, no anonymous requests, RBAC and Node authorization, audit log."""
    layout = plane.layout
    return Component(
        name=names.API_SERVER,
        command=(
            str(plane.assets.kube_apiserver),
            "--bind-address=127.0.0.1",
            # Neither the address nor the reconciler may depend on the machine's network: a
            # loopback address cannot be an endpoint, and nobody needs that of this server.
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={plane.ports.api_server}",
            f"--tls-cert-file={layout.certificate(names.API_SERVER)}",
            f"--tls-private-key-file={layout.key(names.API_SERVER)}",
            f"--client-ca-file={layout.certificate(names.CLUSTER_CA)}",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--etcd-servers=https://127.0.0.1:{plane.ports.etcd}",
            f"--etcd-cafile={layout.certificate(names.ETCD_CA)}",
            f"--etcd-certfile={layout.certificate(names.ETCD_CLIENT)}",
            f"--etcd-keyfile={layout.key(names.ETCD_CLIENT)}",
            f"--service-cluster-ip-range={names.SERVICE_CIDR}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={layout.certificate(names.SERVICE_ACCOUNTS)}",
            f"--service-account-signing-key-file={layout.key(names.SERVICE_ACCOUNTS)}",
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            # Written before the request ends, so that whoever reads the log next finds it there.
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=512",
            "--audit-log-maxbackup=1",
            # Measurements are of the client: priority and fairness must not be what is slow.
            "--max-requests-inflight=3000",
            "--max-mutating-requests-inflight=1000",
            "--profiling=false",
        ),
    )


def controller_manager(plane: ControlPlane) -> Component:
    """All controllers, each under its own service account."""
    layout = plane.layout
    return Component(
        name=names.CONTROLLER_MANAGER,
        command=(
            str(plane.assets.kube_controller_manager),
            *_clerk(
                plane,
                names.CONTROLLER_MANAGER,
                names.CONTROLLER_MANAGER_SERVER,
                plane.ports.controller_manager,
            ),
            "--controllers=*,bootstrapsigner,tokencleaner",
            "--use-service-account-credentials",
            f"--root-ca-file={layout.certificate(names.CLUSTER_CA)}",
            f"--service-account-private-key-file={layout.key(names.SERVICE_ACCOUNTS)}",
            f"--cluster-signing-cert-file={layout.certificate(names.CLUSTER_CA)}",
            f"--cluster-signing-key-file={layout.key(names.CLUSTER_CA)}",
            "--concurrent-deployment-syncs=20",
            "--concurrent-replicaset-syncs=20",
            "--concurrent-statefulset-syncs=20",
            *_node_monitor(plane.node_monitor_grace_seconds),
        ),
    )


def scheduler_configuration(plane: ControlPlane) -> dict[str, Any]:
    """Look at every node for every pod.

    By default the scheduler looks at a part of a fleet of more than a hundred nodes only, so that
    where a pod goes is left to chance.
    """
    minor = version_key(plane.assets.kubernetes_version)[1]
    form = next(form for first, form in _SCHEDULER_FORMATS if minor >= first)
    return {
        "apiVersion": f"kubescheduler.config.k8s.io/{form}",
        "kind": "KubeSchedulerConfiguration",
        "percentageOfNodesToScore": 100,
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(plane.layout.kubeconfig(names.SCHEDULER)),
            "qps": 500,
            "burst": 1000,
        },
    }


def scheduler(plane: ControlPlane) -> Component:
    """The scheduler with its default profile."""
    return Component(
        name=names.SCHEDULER,
        command=(
            str(plane.assets.kube_scheduler),
            *_scheduler_configured(plane),
            *_clerk(plane, names.SCHEDULER, names.SCHEDULER_SERVER, plane.ports.scheduler),
        ),
    )


def _scheduler_configured(plane: ControlPlane) -> tuple[str, ...]:
    """Its configuration, but for old versions: beside one they keep a port without TLS open."""
    if version_key(plane.assets.kubernetes_version)[1] < _NO_INSECURE_PORT:
        return ()
    return (f"--config={plane.layout.scheduler_configuration}",)


def hollow_nodes(plane: ControlPlane) -> Component:
    """The agent of the hollow nodes, with leases as often as the controller manager needs them."""
    layout, grace = plane.layout, plane.node_monitor_grace_seconds
    lease_seconds = 10.0 if grace is None else grace / 4
    return Component(
        name=names.HOLLOW_NODES,
        command=hollow.command(
            layout.kubeconfig(names.HOLLOW_NODES), layout.hollow_socket, lease_seconds=lease_seconds
        ),
    )


def _clerk(plane: ControlPlane, client: str, server: str, port: int) -> tuple[str, ...]:
    """What the two components have in common that serve nothing but their own state."""
    layout, kubeconfig = plane.layout, plane.layout.kubeconfig(client)
    minor = version_key(plane.assets.kubernetes_version)[1]
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        # The cluster publishes no front proxy's authority; each of them would go on asking for it.
        "--authentication-skip-lookup",
        f"--client-ca-file={layout.certificate(names.CLUSTER_CA)}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        *(("--port=0",) if minor < _NO_INSECURE_PORT else ()),
        f"--tls-cert-file={layout.certificate(server)}",
        f"--tls-private-key-file={layout.key(server)}",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    )


def _node_monitor(grace_seconds: int | None) -> tuple[str, ...]:
    if grace_seconds is None:
        return ()
    return (f"--node-monitor-grace-period={grace_seconds}s", "--node-monitor-period=1s")
