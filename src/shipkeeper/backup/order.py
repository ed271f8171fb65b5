"""In which order objects are made: kinds by rank, and owners before what they own. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from shipkeeper.backup.kinds import GroupKind

# Source: facts of the field; what others refer to, or what would refuse them, comes when it must.
# Limits and webhooks judge what is made after them, so those that others bear come last.
_RANKS: tuple[tuple[str, tuple[GroupKind, ...]], ...] = (
    ("definitions", (("apiextensions.k8s.io", "CustomResourceDefinition"),)),
    ("namespaces", (("", "Namespace"),)),
    (
        "classes",
        (
            ("storage.k8s.io", "StorageClass"),
            ("storage.k8s.io", "CSIDriver"),
            ("storage.k8s.io", "VolumeAttributesClass"),
            ("snapshot.storage.k8s.io", "VolumeSnapshotClass"),
            ("scheduling.k8s.io", "PriorityClass"),
            ("node.k8s.io", "RuntimeClass"),
            ("networking.k8s.io", "IngressClass"),
            ("networking.k8s.io", "ServiceCIDR"),
            ("resource.k8s.io", "DeviceClass"),
        ),
    ),
    ("snapshots", (("snapshot.storage.k8s.io", "VolumeSnapshotContent"),)),
    ("volumes", (("", "PersistentVolume"),)),
    ("claims", (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))),
    (
        "roles",
        (("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "Role")),
    ),
    ("accounts", (("", "ServiceAccount"),)),
    (
        "bindings",
        (
            ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
            ("rbac.authorization.k8s.io", "RoleBinding"),
        ),
    ),
    ("configuration", (("", "Secret"), ("", "ConfigMap"))),
    # Budgets and policies stand before the pods come that they are about.
    (
        "policies",
        (("policy", "PodDisruptionBudget"), ("networking.k8s.io", "NetworkPolicy")),
    ),
    ("services", (("", "Service"),)),
    # Deployments adopt these, and make no others in their place (ADR 15).
    ("replica sets", (("apps", "ReplicaSet"),)),
    ("workloads and others", ()),
    ("pods", (("", "Pod"),)),
    (
        "autoscalers",
        (("autoscaling", "HorizontalPodAutoscaler"),),
    ),
    # A limit range would change pods that came without its limits.
    ("limits", (("", "LimitRange"), ("", "ResourceQuota"))),
    ("services of the API", (("apiregistration.k8s.io", "APIService"),)),
    (
        "admission",
        (
            ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
            ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
            ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
            ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
            ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ),
    ),
)
RANKS: tuple[str, ...] = tuple(name for name, _ in _RANKS)
"""The names of the ranks, in order."""

_RANK_OF: dict[GroupKind, int] = {
    kind: number for number, (_, kinds) in enumerate(_RANKS) for kind in kinds
}
_REST = RANKS.index("workloads and others")

ADOPTED: frozenset[GroupKind] = frozenset({("apps", "ReplicaSet")})
"""Kinds that are made before their controllers, without them as owners."""

T = TypeVar("T")


def rank(kind: GroupKind) -> int:
    """The position in RANKS of a kind."""
    return _RANK_OF.get(kind, _REST)


def phases(
    keys: Sequence[T], ranks: Mapping[T, int], owners: Mapping[T, Iterable[T]]
) -> list[tuple[int, list[T]]]:
    """Sort keys into phases of (rank, keys): each owner stands in a phase before what it owns.

    An owner counts more than a rank: what is owned by something of a later rank waits for it. A
    circle of owners, which no cluster should hold, is made in the order of its ranks.
    """
    chosen = set(keys)
    owned: defaultdict[T, list[T]] = defaultdict(list)
    missing: dict[T, int] = {}
    for key in keys:
        known = [owner for owner in owners.get(key, ()) if owner in chosen and owner != key]
        missing[key] = len(known)
        for owner in known:
            owned[owner].append(key)
    place = {key: (ranks[key], 0) for key in keys}
    ready = deque(key for key in keys if not missing[key])
    while ready:
        owner = ready.popleft()
        for key in owned[owner]:
            at, depth = place[owner]
            place[key] = max(place[key], (at, depth + 1))
            missing[key] -= 1
            if not missing[key]:
                ready.append(key)
    found: defaultdict[tuple[int, int], list[T]] = defaultdict(list)
    for key in keys:
        found[place[key]].append(key)
    return [(at, found[at, depth]) for at, depth in sorted(found)]
