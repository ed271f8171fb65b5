"""kured's lock: what kured writes into an annotation of its DaemonSet, read and composed; pure.

Source: kubereboot/kured internal/daemonsetlock/daemonsetlock.go and cmd/kured/main.go (1aee6b2,
019a5ba). One holder is an object with nodeID, metadata, created and TTL (in nanoseconds, 0 for
ever); with --concurrency above one it is an object with maxOwners and a list of such locks. A lock
whose TTL is over is free. A kured that finds no free place reboots nothing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from shipkeeper.model.daemonset import Container, DaemonSet

HOLDER_PREFIX = "shipkeeper/"
LOCK_ANNOTATIONS = ("weave.works/kured-node-lock", "kured.dev/kured-node-lock")
_NANOSECONDS = 1_000_000_000


class KuredHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a place of the lock; for kured itself this is the name of a node."""

    node: str
    created: datetime
    ttl: timedelta = timedelta()

    @property
    def is_ours(self) -> bool:
        """Whether a run of shipkeeper wrote it."""
        return self.node.startswith(HOLDER_PREFIX)

    def is_over(self, now: datetime) -> bool:
        """Whether kured would take the lock from it."""
        return bool(self.ttl) and now - self.created >= self.ttl


class KuredLock(msgspec.Struct, frozen=True, kw_only=True):
    """The lock of one kured: where it is, how many may hold it, and who does.

    `value` is the annotation as it is; `places` is above one where kured reboots several at once.
    """

    namespace: str
    name: str
    annotation: str
    places: int = 1
    holders: tuple[KuredHolder, ...] = ()
    value: str | None = None

    @property
    def key(self) -> str:
        """`namespace/name` of its DaemonSet."""
        return f"{self.namespace}/{self.name}"

    def others(self, now: datetime) -> tuple[KuredHolder, ...]:
        """Those that hold it now and are no runs of ours."""
        return tuple(each for each in self.holders if not each.is_ours and not each.is_over(now))

    def taken_by(self, run: str, now: datetime, ttl: timedelta) -> str:
        """The annotation with which a run holds every place of the lock, as kured writes it."""
        lock = {
            "nodeID": f"{HOLDER_PREFIX}{run}",
            "metadata": {"unschedulable": False},
            "created": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "TTL": int(ttl.total_seconds()) * _NANOSECONDS,
        }
        value: dict[str, Any] = lock
        if self.places > 1:
            value = {"maxOwners": self.places, "locks": [lock] * self.places}
        return msgspec.json.encode(value).decode()

    def is_held_by(self, run: str) -> bool:
        """Whether the run of this name holds it."""
        return any(each.node == f"{HOLDER_PREFIX}{run}" for each in self.holders)


def find_locks(daemon_sets: Iterable[DaemonSet]) -> tuple[KuredLock, ...]:
    """The locks of every kured among the DaemonSets."""
    return tuple(lock_of(each) for each in daemon_sets if is_kured(each))


def is_kured(daemon_set: DaemonSet) -> bool:
    """Whether it is kured, by its image, or because it carries kured's lock already."""
    if any(each in daemon_set.metadata.annotations for each in LOCK_ANNOTATIONS):
        return True
    return any(_is_kured_image(each.image) for each in daemon_set.spec.template.spec.containers)


def lock_of(daemon_set: DaemonSet) -> KuredLock:
    """The lock of a kured, which its flags (or KURED_ variables) may have renamed."""
    annotations = daemon_set.metadata.annotations
    default = next((each for each in LOCK_ANNOTATIONS if each in annotations), LOCK_ANNOTATIONS[0])
    annotation = _option(daemon_set, "lock-annotation") or default
    concurrency = _option(daemon_set, "concurrency")
    places = int(concurrency) if concurrency.isdecimal() else 1
    value = annotations.get(annotation)
    max_owners, holders = _parse(value) if value else (0, ())
    return KuredLock(
        namespace=daemon_set.namespace,
        name=daemon_set.name,
        annotation=annotation,
        places=max(places, max_owners, 1),
        holders=holders,
        value=value,
    )


class _Holder(msgspec.Struct, frozen=True):
    node_id: str = msgspec.field(name="nodeID")
    created: datetime
    ttl: int = msgspec.field(default=0, name="TTL")


class _Value(msgspec.Struct, frozen=True):
    """Either form: the fields of one holder are missing where there is a list."""

    node_id: str = msgspec.field(default="", name="nodeID")
    created: datetime = datetime.min.replace(tzinfo=UTC)
    ttl: int = msgspec.field(default=0, name="TTL")
    max_owners: int = msgspec.field(default=0, name="maxOwners")
    locks: tuple[_Holder, ...] | None = None


def _parse(value: str) -> tuple[int, tuple[KuredHolder, ...]]:
    """How many may hold the lock (0 if it does not say) and who does; what nobody can read is free.

    kured itself does nothing while it cannot read its lock.
    """
    try:
        found = msgspec.json.decode(value, type=_Value)
    except msgspec.DecodeError:
        return 0, ()
    if found.node_id:
        return 1, (_holder(_Holder(found.node_id, found.created, found.ttl)),)
    return found.max_owners, tuple(map(_holder, found.locks or ()))


def _holder(found: _Holder) -> KuredHolder:
    # Rounded up: what is not zero runs out.
    ttl = timedelta(microseconds=-(-found.ttl // 1000))
    return KuredHolder(node=found.node_id, created=found.created, ttl=ttl)


def _is_kured_image(image: str) -> bool:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == "kured"


def _option(daemon_set: DaemonSet, name: str) -> str:
    """The value of one of kured's flags, or of the variable that stands for it; empty without."""
    for container in daemon_set.spec.template.spec.containers:
        if value := _flag(container, name) or _variable(container, name):
            return value
    return ""


def _flag(container: Container, name: str) -> str:
    words = (*container.command, *container.args)
    for word, following in pairwise((*words, "")):
        if word == f"--{name}":
            return following
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return ""


def _variable(container: Container, name: str) -> str:
    wanted = f"KURED_{name.upper().replace('-', '_')}"
    return next((each.value for each in container.env if each.name == wanted), "")
