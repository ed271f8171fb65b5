"""Seeds for v1.37.2 on its way to v1.40, as far as 1.37's API tags schedule it."""

from tests.upgrade.seeds import (
    NAMESPACE,
    Json,
    Seed,
    applied,
    bare,
    budget,
    deployment,
    fine,
    flag,
    hook_down,
    ingress,
    kubelet_gate,
    on_node,
    problem,
    removed,
    stale_definition,
    static_pod,
    superseded,
    system_map,
    two_versions,
    webhook,
)

TARGET = 40
_RESOURCE = "resource.k8s.io"


def _device(version: str, name: str) -> Json:
    return bare(f"{_RESOURCE}/{version}", "DeviceClass", name, namespaced=False, spec={})


def _claim(version: str, name: str) -> Json:
    return bare(f"{_RESOURCE}/{version}", "ResourceClaim", name, spec={"devices": {}})


def _template(version: str, name: str) -> Json:
    spec: Json = {"spec": {"devices": {}}}
    return bare(f"{_RESOURCE}/{version}", "ResourceClaimTemplate", name, spec=spec)


def _mutating(version: str, name: str, kind: str = "MutatingAdmissionPolicy") -> Json:
    return bare(f"admissionregistration.k8s.io/{version}", kind, name, namespaced=False)


def _was(seed: str, found: Json, version: str) -> Seed:
    """Served as something newer today, but applied as what ends: the next apply will fail."""
    return removed(seed, found, version=version)


_ONE = {"minAvailable": 1}

SEEDS: tuple[Seed, ...] = (
    _was("was-device-1", _device("v1", "was-device-1"), f"{_RESOURCE}/v1beta1"),
    _was("was-device-2", _device("v1", "was-device-2"), f"{_RESOURCE}/v1beta2"),
    _was("was-claim", _claim("v1", "was-claim"), f"{_RESOURCE}/v1beta1"),
    _was("was-template", _template("v1", "was-template"), f"{_RESOURCE}/v1beta2"),
    # Removed long ago, and applied like that again and again, to no avail, since.
    _was("was-ingress", ingress("networking.k8s.io/v1", "was-ingress"), "extensions/v1beta1"),
    _was("was-budget", budget("policy/v1", "was-budget", "none", **_ONE), "policy/v1beta1"),
    removed("file-device", _device("v1beta1", "file-device"), where="manifest"),
    removed("file-claim", _claim("v1beta2", "file-claim"), where="manifest"),
    removed("file-mutating", _mutating("v1alpha1", "file-mutating"), where="manifest"),
    removed("file-mutating-beta", _mutating("v1beta1", "file-mutating-beta"), where="manifest"),
    removed(
        "file-candidate",
        bare("coordination.k8s.io/v1beta1", "LeaseCandidate", "file-candidate"),
        where="manifest",
    ),
    removed(
        "file-bundle",
        bare("certificates.k8s.io/v1beta1", "ClusterTrustBundle", "file-bundle", namespaced=False),
        where="manifest",
    ),
    removed("helm-claim", _claim("v1beta1", "helm-claim"), where="helm"),
    removed("helm-cron", bare("batch/v1beta1", "CronJob", "helm-cron"), where="helm"),
    removed(
        "helm-addresses",
        bare("networking.k8s.io/v1beta1", "ServiceCIDR", "helm-addresses", namespaced=False),
        where="helm",
    ),
    on_node("containerd-1", "containerd://1.7.27", "RuntimeTooOld", kubelet="v1.37.2"),
    on_node("not-ready", "containerd://2.1.4", "NodeNotReady", is_ready=False, kubelet="v1.37.2"),
    on_node("kubelet-lags", "containerd://2.1.4", "KubeletBlocksHop", kubelet="v1.34.9"),
    flag("api-flag", "kube-apiserver", "kube-apiserver-a", "--cloud-provider=external"),
    kubelet_gate("kubelet-config", {"DevicePlugins": True}, "DevicePlugins"),
    problem(
        *("etcd-skip", "EtcdOneMinor", "etcd kube-system/etcd-old"),
        static_pod("etcd", "etcd-old", image="etcd:3.5.21-0"),
    ),
    hook_down(resources=("nodes",)),
    stale_definition(),
    # Look-alikes.
    fine("device", applied(_device("v1", "device")), api=True),
    fine("claim", applied(_claim("v1", "claim")), api=True),
    fine("ingress", applied(ingress("networking.k8s.io/v1", "ingress")), api=True),
    fine("budget", applied(budget("policy/v1", "budget", "none", maxUnavailable=1)), api=True),
    fine("file-device-new", _device("v1", "file-device-new"), where="manifest", api=True),
    fine("file-mutating-new", _mutating("v1", "file-mutating-new"), where="manifest", api=True),
    fine(
        "file-foreign",
        bare("resource.example.com/v1beta1", "DeviceClass", "file-foreign"),
        where="manifest",
        api=True,
    ),
    fine("helm-new", _claim("v1", "helm-new"), where="helm", api=True),
    superseded(_claim("v1beta1", "helm-superseded")),
    on_node("containerd-2", "containerd://2.1.4", kubelet="v1.37.2"),
    on_node("crio", "cri-o://1.34.0", kubelet="v1.37.2"),
    on_node("kubelet-may-lag", "containerd://2.1.4", kubelet="v1.35.1"),
    fine("api-fine", static_pod("kube-apiserver", "kube-apiserver-fine", "--etcd-servers=x")),
    fine(
        "no-proxy",
        system_map(
            *("kube-proxy", "config.conf"),
            {"kind": "KubeProxyConfiguration", "mode": "userspace"},
        ),
    ),
    fine(
        "kubelet-map-of-old",
        system_map("kubelet-config-1.22", "kubelet", {"featureGates": {"DevicePlugins": True}}),
    ),
    fine("hook-ignores", webhook("hook-ignores", policy="Ignore")),
    fine("hook-elsewhere", webhook("hook-elsewhere", group="metrics.example.com")),
    fine(
        "hook-not-system",
        webhook(
            "hook-not-system",
            namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
        ),
    ),
    two_versions(),
    fine("idle-budget", deployment("idle", 0), budget("policy/v1", "idle", "idle", **_ONE)),
)
