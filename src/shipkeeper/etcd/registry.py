"""Where the API server keeps objects: keys of etcd as resource, namespace and name. Pure.

`/registry/RESOURCE/[NAMESPACE/]NAME`; custom resources and some others have their group before.
"""

from typing import Final

import msgspec

PREFIX: Final = "/registry/"
_RENAMED: Final = {
    "minions": "nodes",
    "services/specs": "services",
    "services/endpoints": "endpoints",
    "ingress": "ingresses",
    "controllers": "replicationcontrollers",
    "podsecuritypolicy": "podsecuritypolicies",
}
_INTERNAL: Final = ("ranges", "apiserver.config.k8s.io", "peerserverleases", "masterleases")
_SHORT: Final = {
    "po": "pods",
    "no": "nodes",
    "ns": "namespaces",
    "cm": "configmaps",
    "svc": "services",
    "ep": "endpoints",
    "deploy": "deployments",
    "rs": "replicasets",
    "ds": "daemonsets",
    "sts": "statefulsets",
    "sa": "serviceaccounts",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "ev": "events",
    "ing": "ingresses",
    "netpol": "networkpolicies",
    "cj": "cronjobs",
    "hpa": "horizontalpodautoscalers",
    "pdb": "poddisruptionbudgets",
    "crd": "customresourcedefinitions",
    "crds": "customresourcedefinitions",
    "sc": "storageclasses",
    "rc": "replicationcontrollers",
    "quota": "resourcequotas",
    "limits": "limitranges",
    "csr": "certificatesigningrequests",
    "pc": "priorityclasses",
}


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an object belongs; `resource` is with its group where the key has one."""

    resource: str
    namespace: str
    name: str


def place_of(key: str) -> Place | None:
    """The place that a key stands for; None for what is no object of Kubernetes."""
    if not key.startswith(PREFIX):
        return None
    parts = key.removeprefix(PREFIX).split("/")
    if parts[0] in _INTERNAL or len(parts) < 2:
        return None
    if "." in parts[0] and len(parts) > 2:
        resource, rest = f"{parts[1]}.{parts[0]}", parts[2:]
    elif parts[0] == "services" and parts[1] in ("specs", "endpoints"):
        resource, rest = _RENAMED[f"services/{parts[1]}"], parts[2:]
    else:
        resource, rest = _RENAMED.get(parts[0], parts[0]), parts[1:]
    if not rest or len(rest) > 2:
        return None
    return Place(resource, rest[0] if len(rest) == 2 else "", rest[-1])


def is_meant(resource: str, wanted: str) -> bool:
    """Whether a resource is the wanted one: by plural, singular, kind, short name, and group."""
    plural, _, group = resource.partition(".")
    word, _, wanted_group = wanted.lower().partition(".")
    if wanted_group and group and not group.startswith(wanted_group):
        return False
    word = _SHORT.get(word, word)
    return plural in (word, f"{word}s", f"{word}es", f"{word.removesuffix('y')}ies")
