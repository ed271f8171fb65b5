"""Which volumes a cluster has, where their files are, and how each could be saved. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from shipkeeper.backup.manifest import part, parts
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.programs import Root
from shipkeeper.backup.volumes.record import Volume, Way
from shipkeeper.backup.volumes.world import NO_DATA, KeptVolume, UsingPod, World, source_type
from shipkeeper.model.node import Node

KUBELET = "/var/lib/kubelet"
HOSTNAME = "kubernetes.io/hostname"
ASKED = ("backup.shipkeeper.dev/volumes", "backup.velero.io/backup-volumes")
EXCLUDED = (
    "backup.shipkeeper.dev/exclude-volumes",
    "backup.velero.io/backup-volumes-excludes",
)
# Fields of a PersistentVolume's spec that do not say what it is.
_COMMON = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)
_CLAIMS = frozenset({"persistentVolumeClaim", "ephemeral"})
_NO_DIRECTORY = frozenset({"File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice"})


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which volumes are asked for: those whose ids `only` has patterns of, or if empty most."""

    only: tuple[str, ...] = ()
    kubelet: str = KUBELET


def find_volumes(world: World, selection: Selection, finding: Finding) -> tuple[Volume, ...]:
    """Every volume of the chosen namespaces, by id."""
    finder = _Finder(world, selection, finding)
    found = {each.id: each for each in (*finder.claimed(), *finder.released(), *finder.inline())}
    return tuple(_asked(found[id_], finding.only) for id_ in sorted(found))


def _asked(volume: Volume, only: tuple[str, ...]) -> Volume:
    if not only:
        return volume
    is_asked = any(fnmatchcase(volume.id, pattern) for pattern in only)
    return msgspec.structs.replace(volume, is_asked=is_asked)


class _Finder:
    def __init__(self, world: World, selection: Selection, finding: Finding) -> None:
        self._world = world
        self._selection = selection
        self._kubelet = finding.kubelet
        self._users: defaultdict[str, list[UsingPod]] = defaultdict(list)
        for pod in world.pods:
            if self._is_chosen(pod.namespace):
                for claim in pod.claims:
                    self._users[f"{pod.namespace}/{claim}"].append(pod)

    def _is_chosen(self, namespace: str) -> bool:
        chosen = self._selection.namespaces
        return (not chosen or namespace in chosen) and (
            namespace not in self._selection.not_namespaces
        )

    def claimed(self) -> Iterator[Volume]:
        """The volumes behind claims."""
        for claim in self._world.claims:
            if not self._is_chosen(claim.namespace):
                continue
            users = self._users[claim.key]
            base = Volume(
                id=f"claim/{claim.key}",
                type="",
                way=Way.NONE,
                namespace=claim.namespace,
                claim=claim.name,
                volume=claim.spec.volume_name,
                pods=_keys(users),
                is_asked=not _names_any(users, EXCLUDED, claim.name),
            )
            kept = self._world.volumes.get(claim.spec.volume_name)
            if not claim.spec.volume_name:
                yield _without(base, "NotBound", "the claim is bound to no volume")
            elif kept is None:
                yield _without(base, *self._unseen())
            else:
                yield from self._kept(base, kept, users)

    def _unseen(self) -> tuple[str, str]:
        if "persistentvolumes" in self._world.denied:
            return "Forbidden", "you may not read PersistentVolumes"
        return "VolumeGone", "its PersistentVolume does not exist"

    def released(self) -> Iterator[Volume]:
        """Volumes without a claim that is there."""
        if self._selection.namespaces:
            return
        claimed = {claim.spec.volume_name for claim in self._world.claims}
        for name, kept in self._world.volumes.items():
            if name not in claimed:
                base = Volume(id=f"volume/{name}", type=_type(kept.spec), way=Way.NONE, volume=name)
                if "claimRef" in kept.spec:
                    yield from self._kept(base, kept, [])
                else:
                    yield _without(base, "Unclaimed", "nobody ever claimed it")

    def _kept(self, base: Volume, kept: KeptVolume, users: list[UsingPod]) -> Iterator[Volume]:
        spec, type_ = kept.spec, _type(kept.spec)
        base = msgspec.structs.replace(base, type=type_, driver=_driver(spec))
        if base.claim and base.driver in self._world.snapshot_classes:
            yield msgspec.structs.replace(base, way=Way.SNAPSHOT)
        elif spec.get("volumeMode") == "Block":
            yield _without(base, "BlockMode", "it has no files: its mode is Block")
        elif type_ in ("hostPath", "local"):
            yield from self._on_nodes(base, spec[type_]["path"], self._nodes_of(kept, users))
        else:
            yield self._mounted(base, users, kept.name)

    def _nodes_of(self, kept: KeptVolume, users: Iterable[UsingPod]) -> list[str]:
        """The nodes that a volume is on: those of its affinity, else those of its pods."""
        terms = parts(kept.spec, "nodeAffinity", "required", "nodeSelectorTerms")
        if terms:
            return [node.name for node in self._world.nodes if any(_fits(node, t) for t in terms)]
        return sorted({pod.spec.node_name for pod in users if pod.runs and pod.spec.node_name})

    def _on_nodes(self, base: Volume, path: str, nodes: list[str]) -> Iterator[Volume]:
        if not nodes:
            yield _without(
                base, "NodeUnknown", "no node is known to have it: no affinity, no pod that runs"
            )
        for node in nodes:
            id_ = base.id if len(nodes) == 1 else f"{base.id}@{node}"
            yield msgspec.structs.replace(
                base, id=id_, way=Way.FILES, node=node, root=Root(path=path)
            )

    def _mounted(self, base: Volume, users: Iterable[UsingPod], name: str) -> Volume:
        """A volume whose files can be read where a kubelet mounted it."""
        pod = next((pod for pod in users if pod.runs and pod.spec.node_name), None)
        if pod is None:
            return _without(base, "NotMounted", "no pod that runs uses it, so no node mounts it")
        root = Root(kubelet=self._kubelet, pod=pod.uid, volume=name)
        return msgspec.structs.replace(base, way=Way.FILES, node=pod.spec.node_name, root=root)

    def inline(self) -> Iterator[Volume]:
        """Volumes that pods spell out; those of one directory are one."""
        found: dict[str, Volume] = {}
        for pod in self._world.pods:
            if self._is_chosen(pod.namespace):
                for spec in pod.spec.volumes:
                    each = self._inline(pod, spec)
                    if each is not None:
                        found[each.id] = _merged(found.get(each.id), each)
        yield from found.values()

    def _inline(self, pod: UsingPod, spec: dict[str, Any]) -> Volume | None:
        name = spec["name"]
        type_ = source_type(spec)
        if type_ in NO_DATA | _CLAIMS:
            return None
        is_named = _names_any([pod], ASKED, name)
        base = Volume(
            id=f"pod/{pod.key}/{name}",
            type=type_,
            way=Way.NONE,
            namespace=pod.namespace,
            pods=_keys([pod]),
            is_asked=not _names_any([pod], EXCLUDED, name),
        )
        if type_ == "hostPath":
            return self._host_path(base, pod, spec[type_], is_named=is_named)
        if type_ == "emptyDir" or (type_ == "csi" and not is_named):
            found = self._mounted(base, [pod], name)
            if is_named and found.way is Way.FILES:
                return found
            return _without(base, "Ephemeral", "it ends with its pod", is_asked=is_named)
        if type_ == "nfs":
            source = spec[type_]
            base = msgspec.structs.replace(base, id=f"nfs/{source['server']}{source['path']}")
        return self._mounted(base, [pod], name)

    def _host_path(
        self, base: Volume, pod: UsingPod, source: dict[str, Any], *, is_named: bool
    ) -> Volume | None:
        node, path = pod.spec.node_name, source["path"]
        if not node:
            return _without(base, "NotScheduled", "its pod is on no node")
        base = msgspec.structs.replace(
            base, id=f"hostpath/{node}{path}", node=node, root=Root(path=path), is_asked=is_named
        )
        if source.get("type") in _NO_DIRECTORY:
            return _without(base, "NoDirectory", "it is no directory")
        message = "" if is_named else "a directory of the node: name it in the pod's annotation"
        reason = "" if is_named else "NotAsked"
        return msgspec.structs.replace(base, way=Way.FILES, reason=reason, message=message)


def _merged(before: Volume | None, each: Volume) -> Volume:
    if before is None:
        return each
    chosen = each if each.is_asked and not before.is_asked else before
    return msgspec.structs.replace(chosen, pods=(*before.pods, *each.pods))


def _without(base: Volume, reason: str, message: str, *, is_asked: bool | None = None) -> Volume:
    asked = base.is_asked if is_asked is None else is_asked
    return msgspec.structs.replace(
        base, way=Way.NONE, reason=reason, message=message, is_asked=asked
    )


def _type(spec: dict[str, Any]) -> str:
    return next((key for key in spec if key not in _COMMON), "")


def _driver(spec: dict[str, Any]) -> str:
    return str(part(spec, "csi").get("driver", ""))


def _keys(pods: Iterable[UsingPod]) -> tuple[str, ...]:
    return tuple(sorted(pod.key for pod in pods))


def _names_any(pods: Iterable[UsingPod], keys: tuple[str, ...], name: str) -> bool:
    """Whether a pod's annotation names a volume, or for claims the claim itself."""
    for pod in pods:
        named = {
            word.strip()
            for key in keys
            for word in pod.metadata.annotations.get(key, "").split(",")
        }
        aliases = {
            each["name"]
            for each in pod.spec.volumes
            if part(each, "persistentVolumeClaim").get("claimName") == name
        }
        if named & (aliases or {name}):
            return True
    return False


def _fits(node: Node, term: dict[str, Any]) -> bool:
    """Whether a node's labels and name fulfil a term of a node selector."""
    labels = {HOSTNAME: node.name, **node.metadata.labels}
    return all(
        _matches(labels.get(each["key"]), each) for each in term.get("matchExpressions", ())
    ) and all(_matches(node.name, each) for each in term.get("matchFields", ()))


def _matches(value: str | None, expression: dict[str, Any]) -> bool:
    values = expression.get("values", ())
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
