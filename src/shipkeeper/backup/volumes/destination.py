"""Where the volumes of a backup are to come back to, and what forbids it. Pure."""

from collections.abc import Mapping, Set
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.finding import Finding, find_volumes
from shipkeeper.backup.volumes.programs import Root
from shipkeeper.backup.volumes.record import State, Volume, VolumeRecord, Way
from shipkeeper.backup.volumes.world import World
from shipkeeper.engine.verdict import Effect, Verdict


class Return(StrEnum):
    """How the volumes of a backup come back."""

    NONE = "none"
    IN_PLACE = "in-place"
    """Their files take the place of what is in the volume now."""
    NEW = "new"
    """Beside it, in a new directory or a new claim; nothing that is there is touched."""
    NEW_CLAIM = "new-claim"
    """The same; a new directory becomes a PersistentVolume, with a claim bound to it."""


class Doing(StrEnum):
    """What a restore does about one volume."""

    CREATE = "Create"
    UPDATE = "Update"
    REFUSE = "Refuse"


class VolumeStep(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one volume of a backup.

    `place` is `NODE:PATH`, or empty if it is known only once its claim is bound and mounted;
    `early` tells that its files can be there before the workloads come. `is_claim` is a volume that
    comes back with its claim, from a snapshot.
    """

    volume: str
    doing: Doing
    effect: str = ""
    place: str = ""
    early: bool = False
    is_claim: bool = False
    verdict: Verdict | None = None


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a restore of volumes; `only` are patterns of their ids.

    `places` maps ids to `NODE:PATH`, `namespaces` old names to new ones. `coming` are the claims,
    `NAMESPACE/NAME` as in the target, that the restore makes; `backup` is the backup's name.
    """

    how: Return
    backup: str
    selection: Selection = Selection()
    only: tuple[str, ...] = ()
    places: Mapping[str, str] = {}
    namespaces: Mapping[str, str] = {}
    coming: Set[str] = frozenset()


def plan_volumes(
    records: tuple[VolumeRecord, ...], world: World, wishes: Wishes
) -> tuple[VolumeStep, ...]:
    """Decide on every volume that was saved and is meant."""
    there = {each.id: each for each in find_volumes(world, Selection(), Finding())}
    planner = _Planner(world, there, wishes)
    return tuple(
        planner.step(record)
        for record in records
        if (record.files or record.snapshot) and _is_meant(record.volume, wishes)
    )


def _is_meant(volume: Volume, wishes: Wishes) -> bool:
    if wishes.only:
        return any(fnmatchcase(volume.id, pattern) for pattern in wishes.only)
    chosen = wishes.selection.namespaces
    return (not chosen or volume.namespace in chosen) and (
        volume.namespace not in wishes.selection.not_namespaces or not volume.namespace
    )


class _Planner:
    def __init__(self, world: World, there: Mapping[str, Volume], wishes: Wishes) -> None:
        self._nodes = {node.name for node in world.nodes}
        self._there = there
        self._wishes = wishes

    def step(self, record: VolumeRecord) -> VolumeStep:
        """What becomes of one."""
        how = self._snapshot if record.snapshot else self._files
        step = how(record)
        if (
            step.doing is not Doing.REFUSE
            and step.verdict is None
            and record.state is State.PARTIAL
        ):
            verdict = _verdict(record, Effect.WARN, "NotWhole", f"saved in part: {record.message}")
            step = msgspec.structs.replace(step, verdict=verdict)
        return step

    def _claim(self, volume: Volume) -> str:
        return f"{self._wishes.namespaces.get(volume.namespace, volume.namespace)}/{volume.claim}"

    def _snapshot(self, record: VolumeRecord) -> VolumeStep:
        volume, claim = record.volume, self._claim(record.volume)
        if self._wishes.how is not Return.IN_PLACE:
            name = f"{claim}-{suffix(self._wishes.backup)}"
            return _done(record, Doing.CREATE, f"claim {name} from its snapshot")
        if claim in self._wishes.coming:
            step = _done(record, Doing.CREATE, f"claim {claim} filled from its snapshot")
            return msgspec.structs.replace(step, is_claim=True, early=True)
        if f"claim/{claim}" in self._there:
            return _refused(
                record,
                "ClaimExists",
                "a snapshot fills a claim only when it is made, and the claim is there",
                "delete it first, or have another one made with --volumes new",
            )
        return _refused(
            record,
            "ClaimMissing",
            "its claim is not restored",
            f"restore it as well: --name pvc/{volume.namespace}/{volume.claim}",
        )

    def _files(self, record: VolumeRecord) -> VolumeStep:
        place = self._wishes.places.get(record.volume.id, "")
        if place or self._wishes.how is not Return.IN_PLACE:
            return self._beside(record, place)
        return self._in_place(record)

    def _beside(self, record: VolumeRecord, place: str) -> VolumeStep:
        volume = record.volume
        if not place and not volume.root.path:
            return _refused(
                record,
                "NoPlace",
                "it was mounted by a kubelet, so there is no place beside it",
                "name one: --volume-map VOLUME=NODE:PATH",
            )
        path = f"{volume.root.path.rstrip('/')}.{suffix(self._wishes.backup)}"
        step = self._at(record, Doing.CREATE, place or f"{volume.node}:{path}")
        if self._wishes.how is not Return.NEW_CLAIM or step.doing is Doing.REFUSE:
            return step
        if not volume.claim:
            return _refused(
                record,
                "NoClaim",
                "no claim stood for it, so there is none to make another one like",
                "bring its files back alone, with --volumes new",
            )
        name = f"{self._claim(volume)}-{suffix(self._wishes.backup)}"
        return msgspec.structs.replace(step, effect=f"{step.effect}, as claim {name}")

    def _in_place(self, record: VolumeRecord) -> VolumeStep:
        volume = record.volume
        claim = self._claim(volume)
        _, is_one_of_several, node = volume.id.partition("@")
        id_ = f"claim/{claim}{is_one_of_several}{node}" if volume.claim else volume.id
        now = self._there.get(id_)
        if now is not None and now.way is Way.FILES:
            return self._over(record, now)
        if volume.type == "hostPath" and not volume.claim:
            return self._at(record, Doing.UPDATE, volume.place)
        if volume.claim and (claim in self._wishes.coming or now is not None):
            return _done(record, Doing.UPDATE, "once its claim is bound and its pod runs")
        return _refused(
            record,
            "VolumeMissing",
            "it is not there, and does not come with this restore",
            "restore its claim as well, or name a place: --volume-map VOLUME=NODE:PATH",
        )

    def _over(self, record: VolumeRecord, now: Volume) -> VolumeStep:
        if not now.root.path:
            return _done(record, Doing.UPDATE, f"where {now.node} mounts it")
        step = self._at(record, Doing.UPDATE, now.place)
        if now.pods and step.doing is not Doing.REFUSE:
            verdict = _verdict(
                record, Effect.WARN, "InUse", f"pods use it meanwhile: {', '.join(now.pods)}"
            )
            step = msgspec.structs.replace(step, verdict=verdict)
        return step

    def _at(self, record: VolumeRecord, doing: Doing, place: str) -> VolumeStep:
        node, _, path = place.partition(":")
        if not path.startswith("/"):
            return _refused(
                record, "InvalidPlace", f"{place!r} is no place on a node", "write NODE:/PATH"
            )
        if node not in self._nodes:
            return _refused(
                record,
                "NodeMissing",
                f"there is no node {node}",
                "name another place: --volume-map VOLUME=NODE:PATH",
            )
        return msgspec.structs.replace(_done(record, doing, place), place=place, early=True)


def suffix(backup: str) -> str:
    """What the names of new directories and claims end with."""
    return f"restored-{backup[:6]}"


def place_of(text: str) -> tuple[str, Root]:
    """Node and directory of a place."""
    node, _, path = text.partition(":")
    return node, Root(path=path)


def _done(record: VolumeRecord, doing: Doing, where: str) -> VolumeStep:
    return VolumeStep(volume=record.volume.id, doing=doing, effect=where)


def _refused(record: VolumeRecord, reason: str, message: str, remedy: str) -> VolumeStep:
    verdict = _verdict(record, Effect.BLOCK, reason, message, remedy)
    return VolumeStep(volume=record.volume.id, doing=Doing.REFUSE, early=True, verdict=verdict)


def _verdict(
    record: VolumeRecord, effect: Effect, reason: str, message: str, remedy: str = ""
) -> Verdict:
    return Verdict(
        target=record.volume.id, effect=effect, reason=reason, message=message, remedy=remedy
    )
