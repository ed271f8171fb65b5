"""Seeds that were drawn after the checks were written, to see what these had not thought of.

For v1.20.2 on its way to v1.32, and for v1.37.2 on its way to v1.39.
"""

import base64
from typing import Any

import msgspec

from tests.upgrade.seeds import (
    NAMESPACE,
    Json,
    Seed,
    applied,
    bare,
    budget,
    definition,
    deployment,
    fine,
    flag,
    on_node,
    problem,
    proxy_pod,
    release,
    removed,
    static_pod,
    system_map,
    webhook,
)

_MASTER = "node-role.kubernetes.io/master"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_CONTAINERS = [{"name": "c", "image": "i"}]


def _in_config_map(name: str, held: Json, status: str = "deployed") -> Json:
    """A release of Helm's as HELM_DRIVER=configmap keeps it: without a Secret's own base64."""
    seed = Seed(name=name, where="helm", objects=(held,), release_status=status)
    secret = release(seed, 1)
    packed = base64.b64decode(secret["data"]["release"]).decode()
    found = bare("v1", "ConfigMap", secret["metadata"]["name"], data={"release": packed})
    found["metadata"]["labels"] = secret["metadata"]["labels"]
    return found


def _held(name: str, held: Json) -> Seed:
    """A problem in such a release."""
    version, kind = held["apiVersion"], held["kind"]
    target = f"{kind} {NAMESPACE}/{held['metadata']['name']} ({version})"
    return problem(name, "RemovedApi", target, _in_config_map(name, held), api=True)


def _value(seed: str, component: str, name: str, value: str, *words: str) -> Seed:
    """A problem: a value of a flag ends, the flag stays."""
    setting = words[0].partition("=")[0]
    return problem(
        *(seed, "RemovedFlagValue", f"Pod kube-system/{name} {setting}={value}"),
        static_pod(component, name, *words),
    )


def _daemons(name: str, *keys: str) -> Json:
    """A DaemonSet that tolerates taints of some keys; of an empty one, all."""
    tolerations = [{**({"key": key} if key else {}), "operator": "Exists"} for key in keys]
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": _CONTAINERS, "tolerations": tolerations},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return bare("apps/v1", "DaemonSet", name, spec=spec)


def _placed(name: str, *terms: tuple[str, str], how: str = "required") -> Json:
    """A Deployment with a node affinity: one term for each pair of a label and an operator."""
    wanted = [{"matchExpressions": [{"key": key, "operator": operator}]} for key, operator in terms]
    during = f"{how}DuringSchedulingIgnoredDuringExecution"
    affinity: Json = {during: {"nodeSelectorTerms": wanted}}
    if how == "preferred":
        affinity = {during: [{"weight": 1, "preference": each} for each in wanted]}
    spec = {"containers": _CONTAINERS, "affinity": {"nodeAffinity": affinity}}
    return deployment(name, 0, spec=spec)


def _with_volume(name: str, source: Json) -> Json:
    volumes = [{"name": "v", **source}]
    return deployment(name, 0, spec={"containers": _CONTAINERS, "volumes": volumes})


def _volume(name: str, source: Json) -> Json:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **source}
    return bare("v1", "PersistentVolume", name, namespaced=False, spec=spec)


def _feature(name: str, found: Json) -> Seed:
    place = "" if found["kind"] == "PersistentVolume" else f"{NAMESPACE}/"
    target = f"{found['kind']} {place}{found['metadata']['name']}"
    return problem(name, "RemovedFeature", target, found)


def _converted(plural: str, kind: str) -> Json:
    """A definition whose conversion webhook is nobody."""
    version, group = "apiextensions.k8s.io/v1", "held.example.com"
    found = definition(version, plural, group, kind, v1beta1=True, v1=True)
    service = {"namespace": NAMESPACE, "name": "nobody"}
    found["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"service": service}},
    }
    return found


def _aggregated(group: str) -> Json:
    spec = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 10,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": NAMESPACE, "name": "nobody"},
    }
    version = "apiregistration.k8s.io/v1"
    return bare(version, "APIService", f"v1.{group}", namespaced=False, spec=spec)


def _scaler(version: str, name: str) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3}
    return bare(version, "HorizontalPodAutoscaler", name, spec=spec)


def _full_node(name: str, kubelet: str) -> Seed:
    """A problem: a node that is Ready, and has no room."""
    seed = on_node(name, "containerd://2.1.4", "DiskPressure", kubelet=kubelet)
    assert seed.status is not None
    (ready,) = seed.status["conditions"]
    pressure = {**ready, "type": "DiskPressure", "message": "no room"}
    status = {**seed.status, "conditions": [ready, pressure]}
    return msgspec.structs.replace(seed, status=status)


def _kubeadm_config(version: str, flags: Any) -> Json:
    value = {
        "apiVersion": f"kubeadm.k8s.io/{version}",
        "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": flags},
    }
    return system_map("kubeadm-config", "ClusterConfiguration", value)


def _own(kind: str, version: str, name: str, **rest: Any) -> Json:
    return bare(version, kind, name, namespaced=False, **rest)


_KUBEADM = "ConfigMap kube-system/kubeadm-config"
_DOWN = (
    problem(
        *("conversion", "ConversionDown", "CustomResourceDefinition gones.held.example.com"),
        _converted("gones", "Gone"),
    ),
    problem(
        *("aggregated", "ApiServiceDown", "APIService v1.down.example.com"),
        _aggregated("down.example.com"),
    ),
)
_SHARED = (
    fine(
        "outside",
        static_pod("kube-controller-manager", "kcm-outside", "--cloud-provider=external"),
    ),
    fine("either", _placed("either", (_MASTER, "Exists"), (_CONTROL_PLANE, "Exists"))),
    fine("tolerates-both", _daemons("tolerates-both", _MASTER, _CONTROL_PLANE)),
    fine(
        "reviews-v1beta1",
        webhook("reviews-v1beta1", policy="Ignore", admissionReviewVersions=["v1beta1"]),
    ),
)
OLDEST_TARGET = 32
OLDEST: tuple[Seed, ...] = (
    _value(
        *("plugin", "kube-apiserver", "api-plugin", "PodSecurityPolicy"),
        "--enable-admission-plugins=NodeRestriction,PodSecurityPolicy",
    ),
    _value(
        *("plugin-word", "kube-apiserver", "api-word", "SecurityContextDeny"),
        *("--enable-admission-plugins", "SecurityContextDeny"),
    ),
    _value("cloud", "kube-controller-manager", "kcm-cloud", "aws", "--cloud-provider=aws"),
    problem(
        *("gate-word", "RemovedFeatureGate", "Pod kube-system/scheduler-word TTLAfterFinished"),
        static_pod("kube-scheduler", "scheduler-word", "--feature-gates", "TTLAfterFinished=true"),
    ),
    problem(
        *("underscores", "RemovedFlag"),
        "Pod kube-system/kcm-underscores --experimental-cluster-signing-duration",
        static_pod(
            *("kube-controller-manager", "kcm-underscores"),
            "--experimental_cluster_signing_duration=1h",
        ),
    ),
    problem(
        *("proxy-mode", "RemovedFlagValue"),
        "ConfigMap kube-system/kube-proxy --proxy-mode=userspace",
        system_map(
            *("kube-proxy", "config.conf"),
            {"kind": "KubeProxyConfiguration", "mode": "userspace"},
        ),
        proxy_pod("kube-proxy-a"),
    ),
    problem(
        *("kubeadm-format", "RemovedKubeadmConfig", _KUBEADM),
        _kubeadm_config("v1beta2", {"kubelet-https": "true"}),
    ),
    problem("kubeadm-flag", "RemovedFlag", f"{_KUBEADM} --kubelet-https"),
    _held("helm-map", budget("policy/v1beta1", "helm-map", "x")),
    _feature(
        "selects-master",
        deployment(
            *("selects-master", 0),
            spec={"containers": _CONTAINERS, "nodeSelector": {_MASTER: ""}},
        ),
    ),
    _feature("near-master", _placed("near-master", (_MASTER, "Exists"))),
    _feature("tolerates-master", _daemons("tolerates-master", _MASTER)),
    _feature("rbd-volume", _volume("rbd-volume", {"rbd": {"monitors": ["m"], "image": "i"}})),
    _feature("cephfs-pods", _with_volume("cephfs-pods", {"cephfs": {"monitors": ["m"]}})),
    _feature(
        "gluster-pods",
        _with_volume("gluster-pods", {"glusterfs": {"endpoints": "e", "path": "p"}}),
    ),
    removed("scaler", _scaler("autoscaling/v2beta2", "scaler")),
    removed(
        "flow",
        _own(
            *("FlowSchema", "flowcontrol.apiserver.k8s.io/v1beta1", "flow"),
            spec={"priorityLevelConfiguration": {"name": "catch-all"}},
        ),
    ),
    removed(
        "file-policy",
        _own(
            *("ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1alpha1", "file-policy"),
        ),
        where="manifest",
    ),
    removed(
        "file-review",
        _own("TokenReview", "authentication.k8s.io/v1beta1", "file-review"),
        where="manifest",
    ),
    *_DOWN,
    _full_node("full-node", "v1.20.2"),
    # Look-alikes.
    *_SHARED,
    fine("kubeadm-api", static_pod("kube-apiserver", "api-of-kubeadm", "--insecure-port=0")),
    fine("kubeadm-kcm", static_pod("kube-controller-manager", "kcm-of-kubeadm", "--port=0")),
    fine(
        "plugins",
        static_pod("kube-apiserver", "api-plugins", "--enable-admission-plugins=NodeRestriction"),
    ),
    fine(
        "helm-map-old",
        _in_config_map("helm-map-old", budget("policy/v1beta1", "o", "x"), "superseded"),
    ),
    fine("helm-map-new", _in_config_map("helm-map-new", budget("policy/v1", "n", "x"))),
    fine("tolerates-all", _daemons("tolerates-all", "", _MASTER)),
    fine("away", _placed("away", (_MASTER, "DoesNotExist"))),
    fine("rather", _placed("rather", (_MASTER, "Exists"), how="preferred")),
    fine(
        "csi-rbd",
        _volume("csi-rbd", {"csi": {"driver": "rbd.csi.ceph.com", "volumeHandle": "h"}}),
    ),
    fine("named-rbd", deployment("named-rbd", 0, annotations={"example.com/rbd": "cephfs"})),
    fine("scaler-1", applied(_scaler("autoscaling/v1", "scaler-1"))),
)
NEWEST_TARGET = 39
_DEVICES: Json = {"devices": {}}
NEWEST: tuple[Seed, ...] = (
    problem(
        *("kubeadm-format", "RemovedKubeadmConfig", _KUBEADM),
        _kubeadm_config("v1beta3", [{"name": "cloud_provider", "value": "aws"}]),
    ),
    problem("kubeadm-flag", "RemovedFlag", f"{_KUBEADM} --cloud-provider"),
    problem("kubeadm-value", "RemovedFlagValue", f"{_KUBEADM} --cloud-provider=aws"),
    flag("log-flag", "kube-scheduler", "scheduler-log", "--logtostderr=true"),
    _held("helm-map", bare("resource.k8s.io/v1beta1", "ResourceClaim", "helm-map", spec=_DEVICES)),
    *_DOWN,
    _full_node("full-node", "v1.37.2"),
    # Look-alikes.
    *_SHARED,
    fine("near-master", _placed("near-master", (_MASTER, "Exists"))),
    fine("tolerates-master", _daemons("tolerates-master", _MASTER)),
    fine(
        "helm-map-new",
        _in_config_map(
            "helm-map-new", bare("resource.k8s.io/v1", "ResourceClaim", "n", spec=_DEVICES)
        ),
    ),
)
