"""What a prune would delete: objects of the target that the backup does not have. Pure."""

from collections.abc import Iterable, Iterator, Set

from shipkeeper.backup.home import Home, key_of
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.live import LiveObject
from shipkeeper.backup.manifest import Manifest, parts
from shipkeeper.backup.order import rank
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import Extra
from shipkeeper.backup.skip import why_never

# Made by controllers for other objects, or holding everything: never a prune's business.
_NEVER_PRUNED = frozenset(
    {
        ("", "Endpoints"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("apps", "ControllerRevision"),
        ("apiregistration.k8s.io", "APIService"),
    }
)
_SYSTEM_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


def find_extras(
    kind: Kind,
    live: Iterable[LiveObject],
    wanted: Set[tuple[str, str]],
    options: RestoreOptions,
    home: Home | None,
) -> Iterator[Extra]:
    """The live objects of a kind that are chosen, wanted by nobody, and nobody's part.

    Those by which the home's process lives are among them, and spared.
    """
    if kind.group_kind in _NEVER_PRUNED:
        return
    for each in live:
        if (each.namespace, each.name) in wanted or each.is_terminating:
            continue
        if _is_chosen(each, options) and not _belongs_to_cluster(each, each.manifest):
            is_spared = home is not None and home.holds(each)
            place = rank(kind.group_kind)
            yield Extra(key=key_of(each), uid=each.uid, rank=place, is_spared=is_spared)


def _is_chosen(live: LiveObject, options: RestoreOptions) -> bool:
    """Whether the selection means it, once its namespace is called as it is in the backup."""
    is_namespace = live.kind.group_kind == ("", "Namespace")
    place = live.name if is_namespace else live.namespace
    sources = {new: old for old, new in options.namespaces.items()}
    if place in options.namespaces and place not in sources:
        return False  # Where the backup's objects of that namespace do not go.
    source = sources.get(place, place)
    names = ("", source) if is_namespace else (source, live.name)
    selection = options.selection
    return selection.has_key(live.kind, *names) and selection.has_labels(live.manifest)


def _belongs_to_cluster(live: LiveObject, manifest: Manifest) -> bool:
    """Whether the cluster makes it by itself, or it goes with its owner."""
    if live.kind.group_kind == ("", "Namespace"):
        return live.name in _SYSTEM_NAMESPACES
    if live.kind.group_kind == ("", "ServiceAccount") and live.name == "default":
        return True
    if parts(manifest, "metadata", "ownerReferences"):
        return True
    return bool(why_never(manifest, live.kind.group))
