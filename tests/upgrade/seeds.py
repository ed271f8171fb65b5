"""Problems that a check must find, and look-alikes that it must leave alone.

Each seed is put into a real cluster, a folder of manifests, or a Helm release, as users have them.
"""

import base64
import copy
import gzip
import json
from typing import Any, Literal

import msgspec

Json = dict[str, Any]
Where = Literal["cluster", "manifest", "helm"]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NAMESPACE = "seeds"


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """One problem, told by the rule and target that must be found, or a look-alike (no rule).

    `status` is patched onto the object; `text` is a manifest file instead of an object; `kind` and
    `named` are what scanners of API versions are measured by, if it is about those.
    """

    name: str
    where: Where = "cluster"
    objects: tuple[Json, ...] = ()
    text: str = ""
    status: Json | None = None
    rule: str = ""
    target: str = ""
    api: bool = False
    release_status: str = "deployed"

    @property
    def is_problem(self) -> bool:
        return bool(self.rule)


_POD = {"containers": [{"name": "c", "image": "i"}]}
_LABELS = {"app": "x"}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": _POD}
_RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
_SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def bare(version: str, kind: str, name: str, *, namespaced: bool = True, **rest: Any) -> Json:
    metadata = {"name": name, **({"namespace": NAMESPACE} if namespaced else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **copy.deepcopy(rest)}


def applied(found: Json, as_version: str = "") -> Json:
    """As `kubectl apply` leaves it; as_version is what it was applied as, if something else."""
    written = {**found, "apiVersion": as_version or found["apiVersion"]}
    changed = copy.deepcopy(found)
    changed["metadata"].setdefault("annotations", {})[LAST_APPLIED] = json.dumps(written)
    return changed


def ingress(version: str, name: str) -> Json:
    if version == "networking.k8s.io/v1":
        backend: Json = {"service": {"name": "s", "port": {"number": 80}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
    else:
        path = {"path": "/", "backend": {"serviceName": "s", "servicePort": 80}}
    return bare(version, "Ingress", name, spec={"rules": [{"http": {"paths": [path]}}]})


def definition(version: str, plural: str, group: str, kind: str, **versions: bool) -> Json:
    """A CustomResourceDefinition; each version with whether it is served, the last one stored."""
    names = {"plural": plural, "kind": kind, "singular": kind.lower()}
    stored = list(versions)[-1]
    entries = [
        {
            "name": each,
            "served": served,
            "storage": each == stored,
            **({"schema": {"openAPIV3Schema": _SCHEMA}} if version.endswith("v1") else {}),
        }
        for each, served in versions.items()
    ]
    spec: Json = {"group": group, "scope": "Namespaced", "names": names, "versions": entries}
    if version.endswith("v1beta1"):
        spec["preserveUnknownFields"] = True
    name = f"{plural}.{group}"
    return bare(version, "CustomResourceDefinition", name, namespaced=False, spec=spec)


def webhook(
    name: str,
    *,
    version: str = "v1",
    kind: str = "ValidatingWebhookConfiguration",
    policy: str = "Fail",
    service: str = "nobody",
    resources: tuple[str, ...] = ("pods",),
    group: str = "",
    **more: Any,
) -> Json:
    one = {
        "name": f"{name}.example.com",
        "failurePolicy": policy,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        "clientConfig": {"service": {"namespace": NAMESPACE, "name": service, "path": "/"}},
        "rules": [
            {
                "apiGroups": [group],
                "apiVersions": ["v1"],
                # Not CREATE of what the test itself makes: a real one would be in its way.
                "operations": ["CREATE"],
                "resources": list(resources),
            }
        ],
        **more,
    }
    version = f"admissionregistration.k8s.io/{version}"
    return bare(version, kind, name, namespaced=False, webhooks=[one])


def static_pod(component: str, name: str, *flags: str, image: str = "x:v1") -> Json:
    container = {"name": component, "image": image, "command": [component, *flags]}
    found = bare("v1", "Pod", name, spec={"containers": [container]})
    found["metadata"] |= {
        "namespace": "kube-system",
        "labels": {"component": component, "tier": "control-plane"},
    }
    return found


def proxy_pod(name: str) -> Json:
    """A pod of kube-proxy's, without which its ConfigMap is not heeded."""
    found = static_pod("kube-proxy", name)
    found["metadata"]["labels"] = {"k8s-app": "kube-proxy"}
    return found


def system_map(name: str, key: str, value: Json) -> Json:
    found = bare("v1", "ConfigMap", name, data={key: json.dumps(value)})
    found["metadata"]["namespace"] = "kube-system"
    return found


def deployment(
    name: str,
    replicas: int = 2,
    *,
    spec: Json | None = None,
    annotations: dict[str, str] | None = None,
) -> Json:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels, "annotations": annotations or {}},
        "spec": spec or _POD,
    }
    return bare(
        "apps/v1",
        "Deployment",
        name,
        spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    )


def budget(version: str, name: str, selects: str, **spec: Any) -> Json:
    selector = {"matchLabels": {"app": selects}}
    return bare(version, "PodDisruptionBudget", name, spec={"selector": selector, **spec})


def release(seed: Seed, number: int) -> Json:
    """The Secret of a Helm release."""
    manifest = "\n---\n".join(json.dumps(each) for each in seed.objects) or seed.text
    body = {
        "name": seed.name,
        "namespace": NAMESPACE,
        "version": 1,
        "manifest": manifest,
        "info": {"status": seed.release_status},
        "chart": {"metadata": {"name": seed.name, "version": "1.0.0"}},
    }
    packed = base64.b64encode(gzip.compress(json.dumps(body).encode()))
    found = bare("v1", "Secret", f"sh.helm.release.v1.{seed.name}.v{number}")
    found["metadata"]["labels"] = {
        "owner": "helm",
        "name": seed.name,
        "status": seed.release_status,
        "version": str(number),
    }
    return {
        **found,
        "type": "helm.sh/release.v1",
        "data": {"release": base64.b64encode(packed).decode()},
    }


def removed(name: str, found: Json, *, where: Where = "cluster", version: str = "") -> Seed:
    """A problem: an object in an API version that the target does not serve."""
    version = version or found["apiVersion"]
    metadata = found["metadata"]
    key = "/".join(each for each in (metadata.get("namespace"), metadata["name"]) if each)
    return Seed(
        name=name,
        where=where,
        objects=(applied(found, version) if where == "cluster" else found,),
        rule="RemovedApi",
        target=f"{found['kind']} {key} ({version})",
        api=True,
    )


def written(name: str, found: Json) -> Seed:
    """The same, by a client that leaves no annotation: managedFields and the metric tell."""
    seed = removed(name, found)
    return msgspec.structs.replace(seed, objects=(found,))


def fine(name: str, *objects: Json, where: Where = "cluster", **rest: Any) -> Seed:
    """A look-alike."""
    return Seed(name=name, where=where, objects=objects, **rest)


def problem(name: str, rule: str, target: str, *objects: Json, **rest: Any) -> Seed:
    """A problem that is not about an API version."""
    return Seed(name=name, rule=rule, target=target, objects=objects, **rest)


def superseded(found: Json, status: str = "superseded") -> Seed:
    """A look-alike: a Helm release that is not the deployed one any more."""
    name = found["metadata"]["name"]
    return fine(name, found, where="helm", release_status=status, api=True)


def hook_down(**more: Any) -> Seed:
    """A problem: a webhook that fails closed for nodes, and nobody answers."""
    name = "hook-down"
    return problem(
        *(name, "BlockingWebhook", f"ValidatingWebhookConfiguration {name}"),
        webhook(name, **more),
    )


def stale_definition() -> Seed:
    """A problem: objects may be stored in a version that is served no more."""
    found = definition(
        *("apiextensions.k8s.io/v1", "stales", "crd.example.com", "Stale"), v1alpha1=False, v1=True
    )
    return problem(
        *(
            "crd-stored",
            "StoredVersionNotServed",
            "CustomResourceDefinition stales.crd.example.com",
        ),
        found,
        status={"storedVersions": ["v1alpha1", "v1"]},
    )


def two_versions(**rest: Any) -> Seed:
    """A look-alike: both versions of a definition are served."""
    found = definition(
        *("apiextensions.k8s.io/v1", "twos", "crd.example.com", "Two"), v1beta1=True, v1=True
    )
    return fine("crd-two", found, **rest)


def gate(seed: str, component: str, name: str, setting: str, rule: str) -> Seed:
    """A problem: a component of the control plane is started with a feature gate."""
    return problem(
        *(seed, rule, f"Pod kube-system/{name} {setting.partition('=')[0]}"),
        static_pod(component, name, f"--feature-gates={setting}"),
    )


def flag(seed: str, component: str, name: str, setting: str) -> Seed:
    """A problem: a component of the control plane is started with a flag that ends."""
    return problem(
        *(seed, "RemovedFlag", f"Pod kube-system/{name} {setting.partition('=')[0]}"),
        static_pod(component, name, setting),
    )


def kubelet_gate(name: str, gates: dict[str, bool], ends: str) -> Seed:
    """A problem: what kubelets are configured with has a gate that ends."""
    found = system_map(name, "kubelet", {"kind": "KubeletConfiguration", "featureGates": gates})
    return problem(
        *("kubelet-gate", "RemovedFeatureGate", f"ConfigMap kube-system/{name} {ends}"), found
    )


def on_node(
    seed: str, runtime: str, rule: str = "", *, is_ready: bool = True, kubelet: str
) -> Seed:
    """A node that somebody else's kubelet would keep."""
    condition = {
        "type": "Ready",
        "status": "True" if is_ready else "False",
        "reason": "Seeded",
        "message": "seeded",
        "lastHeartbeatTime": "2099-01-01T00:00:00Z",
    }
    unknown = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "operatingSystem")
    info = {
        **dict.fromkeys((*unknown, "kubeProxyVersion"), ""),
        "kubeletVersion": kubelet,
        "containerRuntimeVersion": runtime,
        "architecture": "amd64",
    }
    return Seed(
        name=seed,
        objects=(bare("v1", "Node", seed, namespaced=False),),
        status={"conditions": [condition], "nodeInfo": info},
        rule=rule,
        target=f"Node {seed}" if rule else "",
    )
