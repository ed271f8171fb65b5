"""A bit of everything that a cluster can hold, under one name."""

from collections.abc import Sequence
from typing import Any

from tests.backup.cluster import Cluster, Manifest, config_map, manifest

_RBAC = "rbac.authorization.k8s.io/v1"
_ADMISSION = "admissionregistration.k8s.io/v1"
_POD: dict[str, Any] = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.9"}]}
_RULE = {
    "apiGroups": ["nowhere.example.com"],
    "apiVersions": ["v1"],
    "operations": ["CREATE"],
    "resources": ["nothings"],
}
_CEL = {"matchConstraints": {"resourceRules": [_RULE]}}


def template(app: str) -> Manifest:
    """A pod template with the label `app`."""
    return {"metadata": {"labels": {"app": app}}, "spec": _POD}


def workload(kind: str, name: str, namespace: str, **spec: Any) -> Manifest:
    """A controller of pods that are labelled with its name."""
    selector = {"selector": {"matchLabels": {"app": name}}, "template": template(name)}
    return manifest(kind, name, namespace, spec={**selector, **spec})


def definition(name: str) -> Manifest:
    """A CustomResourceDefinition with two versions; its group is `<name>.example.com`."""
    group = f"{name}.example.com"
    schema = {
        "openAPIV3Schema": {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    }
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    version: dict[str, Any] = {"served": True, "schema": schema, "subresources": {"status": {}}}
    return manifest(
        "apiextensions.k8s.io/v1 CustomResourceDefinition",
        f"widgets.{group}",
        spec={
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [
                {**version, "name": "v1alpha1", "storage": False},
                {**version, "name": "v1", "storage": True, "additionalPrinterColumns": columns},
            ],
        },
    )


def cluster_scoped(name: str) -> list[Manifest]:
    """Objects without a namespace."""
    aggregated = {f"{name}/aggregate": "true"}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    webhook = {
        "name": f"w.{name}.example.com",
        "clientConfig": {"service": {"namespace": name, "name": "nobody"}},
        "rules": [_RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    return [
        definition(name),
        manifest(f"{_RBAC} ClusterRole", f"{name}:part", rules=rules, meta={"labels": aggregated}),
        manifest(
            f"{_RBAC} ClusterRole",
            f"{name}:whole",
            aggregationRule={"clusterRoleSelectors": [{"matchLabels": aggregated}]},
        ),
        manifest(
            f"{_RBAC} ClusterRoleBinding",
            name,
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
            subjects=[{"kind": "ServiceAccount", "namespace": name, "name": "robot"}],
        ),
        manifest("storage.k8s.io/v1 StorageClass", name, provisioner="example.com/none"),
        manifest("storage.k8s.io/v1 CSIDriver", f"{name}.example.com", spec={}),
        manifest("scheduling.k8s.io/v1 PriorityClass", name, value=1000),
        manifest("node.k8s.io/v1 RuntimeClass", name, handler="runc"),
        manifest(
            "networking.k8s.io/v1 IngressClass", name, spec={"controller": "example.com/ingress"}
        ),
        manifest(
            "v1 PersistentVolume",
            name,
            spec={
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": f"/srv/{name}"},
                "storageClassName": name,
                "persistentVolumeReclaimPolicy": "Retain",
            },
        ),
        manifest(f"{_ADMISSION} ValidatingWebhookConfiguration", name, webhooks=[webhook]),
        manifest(f"{_ADMISSION} MutatingWebhookConfiguration", name, webhooks=[webhook]),
        manifest(
            f"{_ADMISSION} ValidatingAdmissionPolicy",
            name,
            spec={**_CEL, "validations": [{"expression": "true"}]},
        ),
        manifest(
            f"{_ADMISSION} ValidatingAdmissionPolicyBinding",
            name,
            spec={"policyName": name, "validationActions": ["Deny"]},
        ),
        manifest(
            "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration",
            name,
            spec={
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 5,
                    "limitResponse": {"type": "Reject"},
                },
            },
        ),
        manifest(
            "flowcontrol.apiserver.k8s.io/v1 FlowSchema",
            name,
            spec={"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 9000},
        ),
        manifest("resource.k8s.io/v1 DeviceClass", name, spec={}),
    ]


def namespaced(name: str) -> list[Manifest]:
    """Objects of the namespace that has the name; it is the first of them."""
    ports = [{"port": 80, "targetPort": 8080}]
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return [
        manifest("v1 Namespace", name, meta={"labels": {"team": name}}),
        manifest("v1 ServiceAccount", "robot", name),
        manifest(f"{_RBAC} Role", "reader", name, rules=rules),
        manifest(
            f"{_RBAC} RoleBinding",
            "reader",
            name,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            subjects=[{"kind": "ServiceAccount", "name": "robot"}],
        ),
        config_map("plain", name, a="1", empty=""),
        {**config_map("fixed", name, a="1"), "immutable": True},
        manifest("v1 Secret", "opaque", name, stringData={"pw": "x"}),
        manifest(
            "v1 PersistentVolumeClaim",
            "data",
            name,
            spec={
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": name,
                "volumeName": name,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        ),
        manifest("v1 Service", "web", name, spec={"selector": {"app": "web"}, "ports": ports}),
        manifest(
            "v1 Service", "headless", name, spec={"clusterIP": "None", "selector": {"app": "db"}}
        ),
        manifest(
            "v1 Service",
            "balanced",
            name,
            spec={"type": "LoadBalancer", "selector": {"app": "web"}, "ports": ports},
        ),
        manifest(
            "v1 Service", "alias", name, spec={"type": "ExternalName", "externalName": "x.example"}
        ),
        manifest("v1 Service", "manual", name, spec={"ports": ports}),
        manifest(
            "v1 Endpoints",
            "manual",
            name,
            subsets=[{"addresses": [{"ip": "10.9.8.7"}], "ports": [{"port": 8080}]}],
        ),
        workload("apps/v1 Deployment", "web", name, replicas=2),
        workload("apps/v1 StatefulSet", "db", name, serviceName="headless"),
        workload("apps/v1 DaemonSet", "agent", name),
        manifest(
            "batch/v1 Job",
            "migrate",
            name,
            spec={"suspend": True, "template": {"spec": {**_POD, "restartPolicy": "Never"}}},
        ),
        manifest(
            "batch/v1 CronJob",
            "nightly",
            name,
            spec={
                "schedule": "0 0 1 1 *",
                "suspend": True,
                "jobTemplate": {"spec": {"template": {"spec": {**_POD, "restartPolicy": "Never"}}}},
            },
        ),
        manifest("v1 Pod", "bare", name, spec=_POD),
        manifest("v1 PodTemplate", "shape", name, template=template("shape")),
        manifest(
            "autoscaling/v2 HorizontalPodAutoscaler",
            "web",
            name,
            spec={"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},
        ),
        manifest(
            "policy/v1 PodDisruptionBudget",
            "web",
            name,
            spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        ),
        manifest("networking.k8s.io/v1 NetworkPolicy", "shut", name, spec={"podSelector": {}}),
        manifest(
            "networking.k8s.io/v1 Ingress",
            "web",
            name,
            spec={
                "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
                "ingressClassName": name,
            },
        ),
        manifest(
            "v1 LimitRange",
            "limits",
            name,
            spec={"limits": [{"type": "Container", "max": {"cpu": "8"}}]},
        ),
        manifest("v1 ResourceQuota", "quota", name, spec={"hard": {"pods": "50"}}),
        manifest(
            "resource.k8s.io/v1 ResourceClaimTemplate",
            "device",
            name,
            spec={
                "spec": {
                    "devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": name}}]}
                }
            },
        ),
    ]


def widget(name: str, namespace: str, **meta: Any) -> Manifest:
    """A custom resource of the definition that has the namespace's name."""
    kind = f"{namespace}.example.com/v1 Widget"
    return manifest(kind, name, namespace, spec={"size": 3, "empty": {}, "none": []}, meta=meta)


async def owned_by(cluster: Cluster, owner: Manifest, child: Manifest) -> Manifest:
    """The child with a reference to its owner as that is now."""
    live = await cluster.get(owner)
    reference = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "name": live["metadata"]["name"],
        "uid": live["metadata"]["uid"],
    }
    return {**child, "metadata": {**child["metadata"], "ownerReferences": [reference]}}


async def build(cluster: Cluster, name: str) -> Sequence[Manifest]:
    """Create everything, a tree of owners among it; returns it in the order of its making."""
    objects = [*cluster_scoped(name), *namespaced(name)]
    await cluster.create(*objects)
    root = widget("root", name, finalizers=["example.com/keep"])
    await cluster.create(root)
    branch = await owned_by(cluster, root, config_map("branch", name, a="1"))
    await cluster.create(branch)
    leaf = await owned_by(cluster, branch, manifest("v1 Secret", "leaf", name))
    twig = await owned_by(cluster, branch, widget("twig", name))
    await cluster.create(leaf, twig)
    return [*objects, root, branch, leaf, twig]
