"""Looking into a snapshot as one looks into a cluster: what is there, and what became of it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shipkeeper.etcd.definitions import as_served
from shipkeeper.etcd.encrypted import MARK, Keys
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.index import Folder, Index, Row, open_index, read_row
from shipkeeper.etcd.objects import decode_object, type_of
from shipkeeper.etcd.registry import Place, is_meant, place_of
from shipkeeper.etcd.shapes import NEWEST, Shapes
from shipkeeper.etcd.snapshot import Snapshot

_FLOW_SCHEMAS: Final = b"/registry/flowschemas/"
_SERVICE_CIDRS: Final = b"/registry/servicecidrs/"
_NODES: Final = b"/registry/minions/"
# The version in which an API server stores its own flow schemas, and a minor that does so.
_BY_FLOW_CONTROL: Final = (("/v1", 31), ("/v1beta3", 27), ("/v1beta2", 24))
_BEFORE: Final = 21


class NotFoundError(EtcdError):
    """The snapshot has no such object."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many objects of a resource a namespace has."""

    resource: str
    namespace: str
    objects: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An object by its name; `revision` is when it was last written, `size` its bytes in etcd."""

    resource: str
    namespace: str
    name: str
    revision: int
    size: int


class Moment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One revision of an object; it is None when it was deleted then."""

    revision: int
    version: int
    size: int
    manifest: dict[str, Any] | None


class Browser:
    """A snapshot with its index, the shapes of its cluster's types, and keys to decrypt with.

    Without an `index` it is the one of the cache, or is made and kept there.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        keys: Keys,
        minor: int | None = None,
        index: Index | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._keys = keys
        self.index = open_index(snapshot) if index is None else index
        self._minor = minor
        self._shapes: Shapes | None = None

    def shapes(self) -> Shapes:
        """The shapes of the version that the snapshot's cluster has."""
        if self._shapes is None:
            self._shapes = Shapes(self.minor())
        return self._shapes

    def minor(self) -> int:
        """The minor version of the snapshot's cluster."""
        if self._minor is None:
            self._minor = guess_minor(self)
        return self._minor

    def counts(self, namespaces: frozenset[str] = frozenset()) -> list[Count]:
        """How many objects there are, by resource and namespace."""
        counted: Counter[tuple[str, str]] = Counter()
        for folder in self.index.folders:
            place = _place_in(folder)
            if place and folder.living and (not namespaces or place.namespace in namespaces):
                counted[place.resource, place.namespace] += folder.living
        return [
            Count(resource=resource, namespace=namespace, objects=objects)
            for (resource, namespace), objects in sorted(counted.items())
        ]

    def find(self, wanted: str, namespaces: frozenset[str] = frozenset()) -> list[Found]:
        """The objects of one resource."""
        return [
            Found(
                resource=place.resource,
                namespace=place.namespace,
                name=place.name,
                revision=row.main,
                size=row.size,
            )
            for place, row in self._rows(wanted, namespaces)
        ]

    def living(self) -> Iterator[tuple[Place, Row]]:
        """Every object that there is, with its place."""
        return self._rows("", frozenset())

    def manifests(self, wanted: str) -> Iterator[dict[str, Any]]:
        """Every object of one resource, as the API server shows it."""
        for _, row in self._rows(wanted, frozenset()):
            yield self.manifest(row)

    def _rows(self, wanted: str, namespaces: frozenset[str]) -> Iterator[tuple[Place, Row]]:
        for folder in self.index.folders:
            place = _place_in(folder)
            if place is None or (namespaces and place.namespace not in namespaces):
                continue
            if not wanted or is_meant(place.resource, wanted):
                for row in self.index.living(folder):
                    name = row.key[len(folder.name) + 1 :].decode(errors="replace")
                    yield Place(place.resource, place.namespace, name), row

    def key_of(self, wanted: str, namespace: str, name: str) -> bytes:
        """The key of an object, deleted or not; NotFoundError if there never was one."""
        for prefix in self._prefixes(wanted):
            middle = f"{namespace}/" if namespace else ""
            key = f"{prefix}{middle}{name}".encode()
            if self.index.history(key):
                return key
        where = f" in namespace {namespace}" if namespace else ""
        raise NotFoundError(
            f"the snapshot has no {wanted} {name!r}{where}",
            reason="NotFound",
            hint=f"see what there is with: shipkeeper etcd ls FILE {wanted}",
        )

    def _prefixes(self, wanted: str) -> Iterator[str]:
        """What keys of the resources that may be meant begin with, before any namespace."""
        places = ((folder, _place_in(folder)) for folder in self.index.folders)
        prefixes = (
            f"{folder.name.decode(errors='replace')}/".removesuffix(
                f"{place.namespace}/" if place.namespace else ""
            )
            for folder, place in places
            if place and is_meant(place.resource, wanted)
        )
        yield from dict.fromkeys(prefixes)

    def manifest(self, row: Row) -> dict[str, Any]:
        """The object of a row as the API server shows it."""
        found = read_row(self._snapshot, row)
        value = found.value
        if value.startswith(MARK):
            # Here and not above: cryptography is slow to import, and few clusters encrypt.
            from shipkeeper.etcd.encryption import decrypt

            value = decrypt(value, found.key, self._keys)
        return as_served(decode_object(value, self.shapes, row.main), self.minor)

    def value(self, row: Row) -> bytes:
        """The stored bytes of a row."""
        return read_row(self._snapshot, row).value

    def get(self, key: bytes) -> dict[str, Any]:
        """The object as it was when the snapshot was taken; NotFoundError if it was deleted."""
        row = self.index.history(key)[-1]
        if row.is_gone:
            raise NotFoundError(
                f"{key.decode()} was deleted at revision {row.main}",
                reason="Deleted",
                hint="what it was before may still be there: shipkeeper etcd history",
            )
        return self.manifest(row)

    def history(self, key: bytes) -> list[Moment]:
        """What became of a key, as far back as etcd was not compacted."""
        return [
            Moment(
                revision=row.main,
                version=read_row(self._snapshot, row).version,
                size=row.size,
                manifest=None if row.is_gone else self.manifest(row),
            )
            for row in self.index.history(key)
        ]


def _place_in(folder: Folder) -> Place | None:
    """The place of what lies in a folder; its name is that of no object."""
    return place_of(f"{folder.name.decode(errors='replace')}/x")


def guess_minor(browser: Browser) -> int:
    """The minor version of the cluster, by its nodes or by what its API server stored."""
    index = browser.index
    for row in index.latest(_NODES):
        if not row.is_gone:
            node = decode_object(browser.value(row), lambda: Shapes(NEWEST), row.main)
            version = str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))
            parts = version.split(".")
            if len(parts) > 1 and parts[1].isdigit():
                return int(parts[1])
    if next(index.latest(_SERVICE_CIDRS), None):
        return NEWEST
    for row in index.latest(_FLOW_SCHEMAS):
        if not row.is_gone:
            version = type_of(browser.value(row)).api_version
            return next(
                (minor for end, minor in _BY_FLOW_CONTROL if version.endswith(end)), _BEFORE
            )
    return NEWEST


def place(key: bytes) -> Place | None:
    """The place that a key of the index stands for."""
    return place_of(key.decode(errors="replace"))
