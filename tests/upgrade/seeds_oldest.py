"""Seeds for v1.20.2 on its way to v1.25."""

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
    gate,
    hook_down,
    ingress,
    kubelet_gate,
    on_node,
    problem,
    proxy_pod,
    removed,
    stale_definition,
    static_pod,
    superseded,
    system_map,
    two_versions,
    webhook,
    written,
)

TARGET = 25
_RBAC = "rbac.authorization.k8s.io"
_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
_TEMPLATE: Json = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
_CRON: Json = {
    "schedule": "0 0 1 1 *",
    "suspend": True,
    "jobTemplate": {"spec": {"template": _TEMPLATE}},
}
_WORKLOAD: Json = {
    "selector": {"matchLabels": {"app": "x"}},
    "template": {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    },
}


def _role(version: str, kind: str, name: str) -> Json:
    return bare(f"{_RBAC}/{version}", kind, name, namespaced=kind == "Role", rules=_RULES)


def _binding(version: str, kind: str, name: str) -> Json:
    reference = {"apiGroup": _RBAC, "kind": kind.removesuffix("Binding"), "name": "nobody"}
    return bare(
        f"{_RBAC}/{version}", kind, name, namespaced=kind == "RoleBinding", roleRef=reference
    )


def _cluster(version: str, kind: str, name: str, **rest: object) -> Json:
    return bare(version, kind, name, namespaced=False, **rest)


def _scaler(version: str, name: str) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    return bare(
        version, "HorizontalPodAutoscaler", name, spec={"scaleTargetRef": target, "maxReplicas": 3}
    )


def _slice(version: str, name: str) -> Json:
    return bare(version, "EndpointSlice", name, addressType="IPv4", endpoints=[])


def _policy(name: str) -> Json:
    any_ = {"rule": "RunAsAny"}
    spec = {
        "seLinux": any_,
        "supplementalGroups": any_,
        "runAsUser": any_,
        "fsGroup": any_,
        "volumes": ["*"],
    }
    return _cluster("policy/v1beta1", "PodSecurityPolicy", name, spec=spec)


def _flocker(name: str) -> Json:
    volume = {"name": "v", "flocker": {"datasetName": "d"}}
    return deployment(
        name, 0, spec={"containers": [{"name": "c", "image": "i"}], "volumes": [volume]}
    )


def _volume(name: str, source: Json) -> Json:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **source}
    return _cluster("v1", "PersistentVolume", name, spec=spec)


def _calls(operation: str, *resources: str) -> list[Json]:
    """The rules of a webhook that is called for one operation."""
    return [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": [operation],
            "resources": list(resources),
        }
    ]


_APPLIED = (
    ingress("extensions/v1beta1", "old-ext"),
    ingress("networking.k8s.io/v1beta1", "old-net"),
    _cluster(
        "networking.k8s.io/v1beta1", "IngressClass", "old-class", spec={"controller": "a.b/c"}
    ),
    definition("apiextensions.k8s.io/v1beta1", "olds", "old.example.com", "Old", v1=True),
    webhook("old-validating", version="v1beta1", policy="Ignore"),
    webhook(
        "old-mutating", version="v1beta1", kind="MutatingWebhookConfiguration", policy="Ignore"
    ),
    _role("v1beta1", "Role", "old-role"),
    _role("v1beta1", "ClusterRole", "old-cluster-role"),
    _binding("v1beta1", "RoleBinding", "old-binding"),
    _binding("v1beta1", "ClusterRoleBinding", "old-cluster-binding"),
    _cluster("scheduling.k8s.io/v1beta1", "PriorityClass", "old-priority", value=7),
    _cluster("storage.k8s.io/v1beta1", "StorageClass", "old-storage", provisioner="a.b/c"),
    _cluster("storage.k8s.io/v1beta1", "CSIDriver", "old-driver", spec={}),
    bare("batch/v1beta1", "CronJob", "old-cron", spec=_CRON),
    _slice("discovery.k8s.io/v1beta1", "old-slice"),
    budget("policy/v1beta1", "old-budget", "nothing", maxUnavailable=1),
    _scaler("autoscaling/v2beta1", "old-scaler"),
    _cluster("node.k8s.io/v1beta1", "RuntimeClass", "old-runtime", handler="runc"),
)
_MODERN = (
    ingress("networking.k8s.io/v1", "new-net"),
    _cluster("networking.k8s.io/v1", "IngressClass", "new-class", spec={"controller": "a.b/c"}),
    definition("apiextensions.k8s.io/v1", "news", "new.example.com", "New", v1=True),
    webhook("new-validating", policy="Ignore"),
    webhook("new-mutating", kind="MutatingWebhookConfiguration", policy="Ignore"),
    _role("v1", "Role", "new-role"),
    _role("v1", "ClusterRole", "new-cluster-role"),
    _binding("v1", "RoleBinding", "new-binding"),
    _binding("v1", "ClusterRoleBinding", "new-cluster-binding"),
    _cluster("scheduling.k8s.io/v1", "PriorityClass", "new-priority", value=7),
    _cluster("storage.k8s.io/v1", "StorageClass", "new-storage", provisioner="a.b/c"),
    _cluster("storage.k8s.io/v1", "CSIDriver", "new-driver", spec={}),
    _scaler("autoscaling/v1", "new-scaler"),
    _scaler("autoscaling/v2beta2", "lasts-until-26"),
    _cluster("node.k8s.io/v1", "RuntimeClass", "new-runtime", handler="runc"),
    bare(
        "apps/v1", "StatefulSet", "new-set", spec={**_WORKLOAD, "replicas": 0, "serviceName": "s"}
    ),
    deployment("new-deployment", 0),
    bare("networking.k8s.io/v1", "NetworkPolicy", "new-policy", spec={"podSelector": {}}),
)
_WRITTEN = (
    ingress("networking.k8s.io/v1beta1", "written-net"),
    bare("batch/v1beta1", "CronJob", "written-cron", spec=_CRON),
    budget("policy/v1beta1", "written-budget", "nothing", maxUnavailable=1),
    _scaler("autoscaling/v2beta1", "written-scaler"),
    _binding("v1beta1", "RoleBinding", "written-binding"),
    _cluster("scheduling.k8s.io/v1beta1", "PriorityClass", "written-priority", value=7),
)
_FILES = (
    bare("apps/v1beta1", "Deployment", "file-apps1", spec=_WORKLOAD),
    bare("apps/v1beta2", "StatefulSet", "file-apps2", spec=_WORKLOAD),
    bare("extensions/v1beta1", "DaemonSet", "file-daemons", spec=_WORKLOAD),
    bare("extensions/v1beta1", "NetworkPolicy", "file-network", spec={"podSelector": {}}),
    bare("autoscaling/v2beta1", "HorizontalPodAutoscaler", "file-scaler"),
    bare("coordination.k8s.io/v1beta1", "Lease", "file-lease"),
    bare("certificates.k8s.io/v1beta1", "CertificateSigningRequest", "file-csr"),
    bare("authorization.k8s.io/v1beta1", "SubjectAccessReview", "file-review"),
    bare("events.k8s.io/v1beta1", "Event", "file-event"),
    bare("apiregistration.k8s.io/v1beta1", "APIService", "file-service"),
)
_MODERN_FILES = (
    bare("apps/v1", "Deployment", "file-new-deployment", spec=_WORKLOAD),
    bare("networking.k8s.io/v1", "NetworkPolicy", "file-new-network"),
    bare("autoscaling/v2", "HorizontalPodAutoscaler", "file-new-scaler"),
    bare("batch/v1", "CronJob", "file-new-cron"),
    bare("policy/v1", "PodDisruptionBudget", "file-new-budget"),
    # Payloads that only travel to webhooks, and kinds of other groups that share a name.
    bare("admission.k8s.io/v1beta1", "AdmissionReview", "file-payload"),
    bare("extensions.istio.io/v1beta1", "Ingress", "file-foreign"),
    bare("kustomize.config.k8s.io/v1beta1", "Kustomization", "file-kustomization"),
    bare("autoscaling/v2beta2", "HorizontalPodAutoscaler", "file-until-26"),
)
_COMMENT = """\
# apiVersion: extensions/v1beta1
# kind: Ingress
apiVersion: v1
kind: ConfigMap
metadata: {name: file-comment}
data:
  old.yaml: |
    apiVersion: extensions/v1beta1
    kind: Ingress
    metadata: {name: quoted}
"""
_STREAM = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: first}
---
apiVersion: rbac.authorization.k8s.io/v1beta1
kind: ClusterRole
metadata: {name: file-second}
"""
_LIST = """\
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "storage.k8s.io/v1beta1", "kind": "CSINode", "metadata": {"name": "file-in-list"}}
]}
"""
_QUOTED = {"old.yaml": "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: quoted}\n"}
_SYSTEM_OUT = {
    "matchExpressions": [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", NAMESPACE],
        }
    ]
}


def _labelled(version: str) -> Json:
    """An annotation that is not kubectl's says nothing about what is applied."""
    found = bare("v1", "ConfigMap", f"annotated-{version.partition('/')[0]}")
    found["metadata"]["annotations"] = {"example.com/was": f'{{"apiVersion": "{version}"}}'}
    return found


def _file(name: str, text: str, rule: str = "", target: str = "") -> Seed:
    return Seed(name=name, where="manifest", text=text, rule=rule, target=target, api=True)


SEEDS: tuple[Seed, ...] = (
    *(removed(each["metadata"]["name"], each) for each in _APPLIED),
    *(written(each["metadata"]["name"], each) for each in _WRITTEN),
    *(removed(each["metadata"]["name"], each, where="manifest") for each in _FILES),
    _file(
        "file-second",
        _STREAM,
        "RemovedApi",
        "ClusterRole file-second (rbac.authorization.k8s.io/v1beta1)",
    ),
    _file("file-in-list", _LIST, "RemovedApi", "CSINode file-in-list (storage.k8s.io/v1beta1)"),
    removed("helm-ingress", ingress("extensions/v1beta1", "helm-ingress"), where="helm"),
    removed("helm-cron", bare("batch/v1beta1", "CronJob", "helm-cron"), where="helm"),
    removed("helm-budget", budget("policy/v1beta1", "helm-budget", "x"), where="helm"),
    removed("helm-role", _role("v1beta1", "ClusterRole", "helm-role"), where="helm"),
    problem("psp", "KindLost", "PodSecurityPolicy lost", _policy("lost"), api=True),
    flag("api-flag", "kube-apiserver", "kube-apiserver-a", "--insecure-port=8080"),
    gate(
        *("api-gate", "kube-apiserver", "kube-apiserver-b", "TTLAfterFinished=true"),
        "RemovedFeatureGate",
    ),
    gate(
        *("api-locked", "kube-apiserver", "kube-apiserver-c", "EphemeralContainers=false"),
        "LockedFeatureGate",
    ),
    flag("kcm-flag", "kube-controller-manager", "kcm-a", "--port=10252"),
    flag("scheduler-flag", "kube-scheduler", "scheduler-a", "--algorithm-provider=X"),
    problem(
        *("kubeadm-format", "RemovedKubeadmConfig", "ConfigMap kube-system/kubeadm-config"),
        system_map(
            "kubeadm-config",
            "ClusterConfiguration",
            {
                "apiVersion": "kubeadm.k8s.io/v1beta1",
                "kind": "ClusterConfiguration",
                "scheduler": {"extraArgs": {"policy-configmap": "x", "v": "2"}},
            },
        ),
    ),
    problem(
        *("kubeadm-flag", "RemovedFlag"),
        "ConfigMap kube-system/kubeadm-config --policy-configmap",
    ),
    kubelet_gate(
        "kubelet-config-1.20",
        {"ServiceNodeExclusion": True, "RotateKubeletServerCertificate": True},
        "ServiceNodeExclusion",
    ),
    problem(
        *("proxy-gate", "RemovedFeatureGate"),
        "ConfigMap kube-system/kube-proxy EndpointSliceProxying",
        system_map(
            "kube-proxy",
            "config.conf",
            {"kind": "KubeProxyConfiguration", "featureGates": {"EndpointSliceProxying": True}},
        ),
        proxy_pod("kube-proxy-a"),
    ),
    hook_down(rules=_calls("CREATE", "nodes", "podtemplates")),
    stale_definition(),
    problem(
        *("flocker-pods", "RemovedFeature", "Deployment seeds/flocker-pods"),
        _flocker("flocker-pods"),
    ),
    problem(
        *("quobyte-volume", "RemovedFeature", "PersistentVolume quobyte-volume"),
        _volume("quobyte-volume", {"quobyte": {"registry": "r:1", "volume": "v"}}),
    ),
    problem(
        *("storageos-volume", "RemovedFeature", "PersistentVolume storageos-volume"),
        _volume("storageos-volume", {"storageos": {"volumeName": "v"}}),
    ),
    on_node("docker-node", "docker://19.3.15", "RuntimeTooOld", kubelet="v1.20.2"),
    on_node(
        *("broken-node", "containerd://1.4.3", "NodeNotReady"), is_ready=False, kubelet="v1.20.2"
    ),
    # Look-alikes.
    *(fine(each["metadata"]["name"], applied(each), api=True) for each in _MODERN),
    *(fine(each["metadata"]["name"], each, where="manifest", api=True) for each in _MODERN_FILES),
    _file("file-comment", _COMMENT),
    fine("helm-new", ingress("networking.k8s.io/v1", "helm-new"), where="helm", api=True),
    superseded(ingress("extensions/v1beta1", "helm-superseded")),
    superseded(ingress("extensions/v1beta1", "helm-gone"), "uninstalled"),
    fine(
        "helm-quoted", bare("v1", "ConfigMap", "helm-quoted", data=_QUOTED), where="helm", api=True
    ),
    fine("quoted", bare("v1", "ConfigMap", "quoted", data=_QUOTED), api=True),
    fine("annotated", _labelled("extensions/v1beta1"), api=True),
    fine("annotated-too", _labelled("policy/v1beta1"), api=True),
    fine(
        "foreign-definition",
        definition(
            "apiextensions.k8s.io/v1",
            "ingresses",
            "extensions.example.com",
            "Ingress",
            v1beta1=True,
        ),
        api=True,
    ),
    fine(
        "api-fine",
        static_pod(
            "kube-apiserver",
            "kube-apiserver-fine",
            "--secure-port=6443",
            "--feature-gates=RotateKubeletServerCertificate=true,EphemeralContainers=true",
        ),
    ),
    fine("kcm-fine", static_pod("kube-controller-manager", "kcm-fine", "--bind-address=127.0.0.1")),
    # The same words, but not as a component of the control plane.
    fine(
        "no-component",
        bare(
            "v1",
            "Pod",
            "no-component",
            spec={
                "containers": [{"name": "c", "image": "i", "command": ["x", "--insecure-port=0"]}]
            },
        ),
    ),
    fine("hook-ignores", webhook("hook-ignores", policy="Ignore", resources=("*",))),
    fine("hook-elsewhere", webhook("hook-elsewhere", resources=("podtemplates",))),
    fine("hook-not-system", webhook("hook-not-system", namespaceSelector=_SYSTEM_OUT)),
    fine(
        "hook-by-label", webhook("hook-by-label", objectSelector={"matchLabels": {"inject": "yes"}})
    ),
    fine("hook-deletes", webhook("hook-deletes", rules=_calls("DELETE", "podtemplates"))),
    fine("hook-other-group", webhook("hook-other-group", group="metrics.example.com")),
    two_versions(status={"storedVersions": ["v1beta1", "v1"]}),
    fine("hostpath-volume", _volume("hostpath-volume", {"hostPath": {"path": "/x"}})),
    fine(
        "gluster-until-26",
        _volume("gluster-until-26", {"glusterfs": {"endpoints": "e", "path": "p"}}),
    ),
    fine(
        "named-flocker",
        deployment("named-flocker", 0, annotations={"example.com/flocker": "flocker"}),
    ),
    fine(
        "seccomp-until-27",
        deployment(
            "seccomp-until-27",
            0,
            annotations={"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"},
        ),
    ),
    on_node("containerd-node", "containerd://1.4.3", kubelet="v1.20.2"),
    on_node("crio-node", "cri-o://1.20.0", kubelet="v1.20.2"),
)
