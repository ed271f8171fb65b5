"""Values that API servers fill in where a manifest says nothing. Pure.

Source: pkg/apis/*/v*/defaults.go of Kubernetes 1.20 to 1.37. Only what is the same for all objects
of a kind; a default that was new with some version is here as well, so that an object of an older
server equals itself on a newer one.
"""

from typing import Any, Final

from shipkeeper.backup.kinds import GroupKind
from shipkeeper.backup.manifest import Manifest, is_list, is_map, part, parts


class Otherwise:
    """A map or list that is filled in as a whole where there is none."""

    def __init__(self, value: Any) -> None:
        self.value = value


# In a template, a map is followed where the object has one, a list of one template applies to
# every item, and anything else is set where the object has nothing.
Template = dict[str, Any]

_SELECTED_FIELD: Final[Template] = {"fieldRef": {"apiVersion": "v1"}}
_HTTP: Final[Template] = {"httpGet": {"path": "/", "scheme": "HTTP"}, "grpc": {"service": ""}}
_PROBE: Final[Template] = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
    **_HTTP,
}
_CONTAINER: Final[Template] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": Otherwise({}),
    "ports": [{"protocol": "TCP"}],
    "env": [{"valueFrom": _SELECTED_FIELD}],
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": {"postStart": _HTTP, "preStop": _HTTP},
    "securityContext": {"procMount": "Default"},
}
_PROJECTION: Final[Template] = {
    "serviceAccountToken": {"expirationSeconds": 3600},
    "downwardAPI": {"items": [_SELECTED_FIELD]},
}
_VOLUME: Final[Template] = {
    "secret": {"defaultMode": 420},
    "configMap": {"defaultMode": 420},
    "downwardAPI": {"defaultMode": 420, "items": [_SELECTED_FIELD]},
    "projected": {"defaultMode": 420, "sources": [_PROJECTION]},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared"},
    "ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem"}}},
}
_POD: Final[Template] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "securityContext": Otherwise({}),
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [_VOLUME],
    "topologySpreadConstraints": [{"nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore"}],
}
# The templates of controllers know nothing of priorities that admission gives to pods.
_TEMPLATE: Final[Template] = {
    "spec": {key: value for key, value in _POD.items() if key != "preemptionPolicy"}
}
_CLAIM: Final[Template] = {"volumeMode": "Filesystem"}
_JOB: Final[Template] = {
    "backoffLimit": 6,
    "completionMode": "NonIndexed",
    "suspend": False,
    "manualSelector": False,
    "podReplacementPolicy": "TerminatingOrFailed",
    "template": _TEMPLATE,
}
_WEBHOOK: Final[Template] = {
    "failurePolicy": "Fail",
    "matchPolicy": "Equivalent",
    "namespaceSelector": Otherwise({}),
    "objectSelector": Otherwise({}),
    "timeoutSeconds": 10,
    "rules": [{"scope": "*"}],
    "clientConfig": {"service": {"port": 443}},
}
_MATCHING: Final[Template] = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": Otherwise({}),
    "objectSelector": Otherwise({}),
    "resourceRules": [{"scope": "*"}],
}
_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}
_SUBJECTS: Final[Template] = {"subjects": [{}]}

_TEMPLATES: Final[dict[GroupKind, Template]] = {
    ("", "Pod"): {"spec": _POD},
    ("", "PodTemplate"): {"template": _TEMPLATE},
    ("", "ReplicationController"): {"spec": {"replicas": 1, "template": _TEMPLATE}},
    ("", "Secret"): {"type": "Opaque"},
    ("", "PersistentVolumeClaim"): {"spec": _CLAIM},
    ("", "PersistentVolume"): {
        "spec": {**_VOLUME, **_CLAIM, "persistentVolumeReclaimPolicy": "Retain"}
    },
    ("", "Service"): {
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ports": [{"protocol": "TCP"}],
        }
    },
    ("", "Endpoints"): {"subsets": [{"ports": [{"protocol": "TCP"}]}]},
    ("apps", "Deployment"): {
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": Otherwise({"type": "RollingUpdate", "rollingUpdate": _ROLLING}),
            "template": _TEMPLATE,
        }
    },
    ("apps", "ReplicaSet"): {"spec": {"replicas": 1, "template": _TEMPLATE}},
    ("apps", "StatefulSet"): {
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": Otherwise(
                {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
            ),
            "persistentVolumeClaimRetentionPolicy": Otherwise(
                {"whenDeleted": "Retain", "whenScaled": "Retain"}
            ),
            "template": _TEMPLATE,
            "volumeClaimTemplates": [
                {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": _CLAIM}
            ],
        }
    },
    ("apps", "DaemonSet"): {
        "spec": {
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}},
            "template": _TEMPLATE,
        }
    },
    ("batch", "Job"): {"spec": _JOB},
    ("batch", "CronJob"): {
        "spec": {
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": {"template": _TEMPLATE}},
        }
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {"spec": {"minReplicas": 1}},
    ("storage.k8s.io", "StorageClass"): {
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    },
    ("storage.k8s.io", "CSIDriver"): {
        "spec": {
            "attachRequired": True,
            "podInfoOnMount": False,
            "requiresRepublish": False,
            "storageCapacity": False,
            "seLinuxMount": False,
            "fsGroupPolicy": "ReadWriteOnceWithFSType",
            "volumeLifecycleModes": Otherwise(["Persistent"]),
        }
    },
    ("scheduling.k8s.io", "PriorityClass"): {"preemptionPolicy": "PreemptLowerPriority"},
    ("networking.k8s.io", "NetworkPolicy"): {
        "spec": {
            "podSelector": Otherwise({}),
            "ingress": [{"ports": [{"protocol": "TCP"}]}],
            "egress": [{"ports": [{"protocol": "TCP"}]}],
        }
    },
    ("networking.k8s.io", "IngressClass"): {"spec": {"parameters": {"scope": "Cluster"}}},
    ("rbac.authorization.k8s.io", "RoleBinding"): _SUBJECTS,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _SUBJECTS,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): {"spec": {"matchingPrecedence": 1000}},
    ("apiregistration.k8s.io", "APIService"): {"spec": {"service": {"port": 443}}},
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): {"webhooks": [_WEBHOOK]},
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): {
        "webhooks": [{**_WEBHOOK, "reinvocationPolicy": "Never"}]
    },
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): {
        "spec": {"failurePolicy": "Fail", "matchConstraints": _MATCHING}
    },
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): {
        "spec": {"matchResources": _MATCHING}
    },
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "spec": {"conversion": Otherwise({"strategy": "None"})}
    },
}


def fill_defaults(manifest: Manifest, group: str) -> None:
    """Set, in the object itself, what an API server would."""
    kind = manifest["kind"]
    if template := _TEMPLATES.get((group, kind)):
        _fill(manifest, template)
    if special := _COMPUTED.get((group, kind)):
        special(manifest)


def _fill(value: dict[str, Any], template: Template) -> None:
    for key, default in template.items():
        present = value.get(key)
        if is_map(default):
            if is_map(present):
                _fill(present, default)
        elif is_list(default):
            for item in present if is_list(present) else ():
                if is_map(item):
                    _fill(item, default[0])
        elif present is None:
            value[key] = default.value if isinstance(default, Otherwise) else default


def _namespace(manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    labels = part(metadata, "labels")
    metadata["labels"] = {**labels, "kubernetes.io/metadata.name": metadata["name"]}


def _service(manifest: Manifest) -> None:
    spec = manifest["spec"]
    for port in parts(spec, "ports"):
        port.setdefault("targetPort", port["port"])
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    # 1.20 and 1.21 had one family and this field for it.
    spec.pop("ipFamily", None)
    spec.pop("topologyKeys", None)
    if spec["type"] in ("LoadBalancer", "NodePort"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _network_policy(manifest: Manifest) -> None:
    spec = manifest["spec"]
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _job(manifest: Manifest) -> None:
    spec = manifest["spec"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1


def _bindings(manifest: Manifest) -> None:
    for subject in parts(manifest, "subjects"):
        if subject["kind"] in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    manifest["roleRef"].setdefault("apiGroup", "rbac.authorization.k8s.io")


def _daemon_set(manifest: Manifest) -> None:
    strategy = manifest["spec"].setdefault("updateStrategy", {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def _definition(manifest: Manifest) -> None:
    names = manifest["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")


_COMPUTED = {
    ("", "Namespace"): _namespace,
    ("", "Service"): _service,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("batch", "Job"): _job,
    ("rbac.authorization.k8s.io", "RoleBinding"): _bindings,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _bindings,
    ("apps", "DaemonSet"): _daemon_set,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
