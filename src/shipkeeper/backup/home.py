"""What a prune spares because whoever prunes lives by it. Pure."""

from collections.abc import Iterable, Set

import msgspec

from shipkeeper.backup.live import LiveObject
from shipkeeper.backup.manifest import Manifest, parts

RBAC = "rbac.authorization.k8s.io"
_OURS = ".shipkeeper.dev"
_REPOSITORY = ("shipkeeper.dev", "BackupRepository")
_DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process lives that prunes: its namespace, and what its ServiceAccounts may.

    `rights` are the keys of bindings and roles.
    """

    namespace: str
    rights: Set[str]

    def holds(self, live: LiveObject) -> bool:
        """Whether an object is one that it lives by."""
        if live.namespace:
            return live.namespace == self.namespace or key_of(live) in self.rights
        match live.kind.group_kind:
            case ("", "Namespace"):
                return live.name == self.namespace
            case group_kind if group_kind == _DEFINITION:
                return live.name.endswith(_OURS)
            case group_kind if group_kind == _REPOSITORY:
                return True
            case _:
                return key_of(live) in self.rights


def home_of(namespace: str, bindings: Iterable[LiveObject]) -> Home:
    """The home in a namespace, by all bindings that there are."""
    rights: set[str] = set()
    for each in bindings:
        manifest = each.manifest
        if not any(_is_of(subject, namespace) for subject in parts(manifest, "subjects")):
            continue
        role = manifest["roleRef"]
        is_wide = role["kind"] == "ClusterRole"
        plural, place = ("clusterroles", "") if is_wide else ("roles", each.namespace)
        rights |= {key_of(each), f"{plural}.{RBAC}/{place}/{role['name']}"}
    return Home(namespace=namespace, rights=rights)


def key_of(live: LiveObject) -> str:
    """What plans call an object."""
    return f"{live.kind.name}/{live.namespace}/{live.name}"


def _is_of(subject: Manifest, namespace: str) -> bool:
    """Whether a subject is a ServiceAccount of a namespace, or all of them, by whatever name."""
    name = subject["name"]
    match subject["kind"]:
        case "ServiceAccount":
            return subject.get("namespace") == namespace
        case "User":
            return name.startswith(f"system:serviceaccount:{namespace}:")
        case _:
            return name in ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
