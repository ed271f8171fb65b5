"""What kubeadm is told, in the configuration format of each version."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shipkeeper.sandbox.assets.versions import version_key
from shipkeeper.sandbox.lab.cgroups import hierarchies
from shipkeeper.sandbox.lab.disk import ENDPOINT
from shipkeeper.sandbox.lab.host import Host

_SOCKET = "unix:///run/containerd/containerd.sock"
_SERVER = f"{ENDPOINT}:6443"
_PORT = 6443
ADMIN_KUBECONFIG = "/etc/kubernetes/admin.conf"
_CONFIGURATION = "/etc/kubernetes/lab.yaml"
_DISCOVERY = "/etc/kubernetes/discovery.conf"
# First minor version that reads the format, newest first. Source: kubeadm's own API packages.
_FORMATS = ((31, "v1beta4"), (22, "v1beta3"), (0, "v1beta2"))
# The field that lets a kubelet run on cgroup v1 came with 1.31; since 1.35 kubeadm's preflight
# refuses cgroup v1 as well, and says itself to skip that check.
_MAY_ALLOW_CGROUP_V1 = 31
_REFUSES_CGROUP_V1 = 35
_LIMIT_SECONDS = 300.0


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What a host needs to join: where the cluster is and who vouches for it, a token, and the key
    to the certificates that control planes share."""

    kubeconfig: str
    token: str
    certificate_key: str


def initialise(host: Host, version: str) -> Invitation:
    """Make `host` the first control-plane host of a new cluster."""
    form = _format(version)
    token = f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"
    certificate_key = secrets.token_hex(32)
    documents = (
        {
            **_head(form, "InitConfiguration"),
            "bootstrapTokens": [{"token": token, "ttl": "24h0m0s"}],
            "certificateKey": certificate_key,
            "localAPIEndpoint": _endpoint(host),
            "nodeRegistration": _registration(host, version),
        },
        {
            **_head(form, "ClusterConfiguration"),
            "kubernetesVersion": version,
            "controlPlaneEndpoint": _SERVER,
        },
        _kubelet(version),
    )
    _kubeadm(host, documents, "init", "--skip-phases=addon/coredns", "--upload-certs")
    kubeconfig = _without_user(host.run("cat", ADMIN_KUBECONFIG).stdout)
    return Invitation(kubeconfig=kubeconfig, token=token, certificate_key=certificate_key)


def join(host: Host, version: str, invitation: Invitation) -> None:
    """Make `host` join the cluster it was invited to, in the role it has."""
    # By file: the cluster takes half a minute before it signs what a token alone could check.
    _write(host, _DISCOVERY, invitation.kubeconfig)
    document: dict[str, Any] = {
        **_head(_format(version), "JoinConfiguration"),
        "discovery": {
            "file": {"kubeConfigPath": _DISCOVERY},
            "tlsBootstrapToken": invitation.token,
        },
        "nodeRegistration": _registration(host, version),
    }
    if host.role == "control-plane":
        document["controlPlane"] = {
            "localAPIEndpoint": _endpoint(host),
            "certificateKey": invitation.certificate_key,
        }
    _kubeadm(host, (document,), "join")


def _without_user(kubeconfig: str) -> str:
    """Where a cluster is and who vouches for it, and nothing that opens it."""
    (cluster,) = msgspec.yaml.decode(kubeconfig)["clusters"]
    # Kubeadm takes no context without a user, but one without credentials.
    context = {"name": "lab", "context": {"cluster": cluster["name"], "user": "nobody"}}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [context],
            "current-context": "lab",
        }
    )


def _kubeadm(host: Host, documents: Sequence[Mapping[str, Any]], *arguments: str) -> None:
    _write(host, _CONFIGURATION, "\n---\n".join(json.dumps(each) for each in documents))
    host.run("kubeadm", *arguments, f"--config={_CONFIGURATION}", timeout=_LIMIT_SECONDS)


def _write(host: Host, path: str, text: str) -> None:
    host.run("mkdir", "-p", "/etc/kubernetes")
    host.run("sh", "-c", 'umask 077; printf "%s" "$1" >"$0"', path, text)


def _format(version: str) -> str:
    minor = version_key(version)[1]
    return next(form for first, form in _FORMATS if minor >= first)


def _head(form: str, kind: str) -> dict[str, str]:
    return {"apiVersion": f"kubeadm.k8s.io/{form}", "kind": kind}


def _endpoint(host: Host) -> dict[str, Any]:
    return {"advertiseAddress": host.address, "bindPort": _PORT}


def _registration(host: Host, version: str) -> dict[str, Any]:
    registration: dict[str, Any] = {"name": host.name, "criSocket": _SOCKET}
    on_v1 = any(each.type == "cgroup" for each in hierarchies())
    if on_v1 and version_key(version)[1] >= _REFUSES_CGROUP_V1:
        registration["ignorePreflightErrors"] = ["SystemVerification"]
    return registration


def _kubelet(version: str) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        # Looked at each second, and told when it changes: hosts are Ready as soon as they can be.
        "nodeStatusUpdateFrequency": "1s",
        "nodeStatusReportFrequency": "5m",
        # Static pods that no API server was there for are shown to it soon, not in a minute.
        "syncFrequency": "5s",
        # The hosts share this machine's memory and disk, and must not evict for others' use.
        "evictionHard": {
            "memory.available": "50Mi",
            **dict.fromkeys(("nodefs.available", "nodefs.inodesFree"), "1%"),
            **dict.fromkeys(("imagefs.available", "imagefs.inodesFree"), "1%"),
        },
    }
    if version_key(version)[1] >= _MAY_ALLOW_CGROUP_V1:
        configuration["failCgroupV1"] = False
    return configuration
