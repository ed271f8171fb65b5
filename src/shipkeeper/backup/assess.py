"""Looking at backup and cluster side by side: what would become of each object. Writes nothing."""

import asyncio

import msgspec

from shipkeeper.backup.archive import Archive, Stored
from shipkeeper.backup.contents import KindContents
from shipkeeper.backup.convert.chain import modern
from shipkeeper.backup.convert.step import UnconvertibleError
from shipkeeper.backup.discovery import Discovery, discover
from shipkeeper.backup.extras import find_extras
from shipkeeper.backup.home import RBAC, home_of
from shipkeeper.backup.kinds import Kind, Served, defined_kinds
from shipkeeper.backup.live import LiveObject, live_objects
from shipkeeper.backup.manifest import Manifest, parts
from shipkeeper.backup.order import ADOPTED, rank
from shipkeeper.backup.restore_options import Existing, RestoreOptions
from shipkeeper.backup.restore_plan import (
    Action,
    Candidate,
    Extra,
    Live,
    Muted,
    decide,
    refused,
    skipped,
)
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.semantic import are_equal, merge_patch
from shipkeeper.backup.skip import (
    DECISIVE_KINDS,
    NOTHING_AROUND,
    Surroundings,
    surroundings,
    why_never,
)
from shipkeeper.backup.transform import transform
from shipkeeper.backup.volumes.destination import VolumeStep
from shipkeeper.backup.webhooks import find_muted
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.writer import Writer

_DEFINITIONS = ("apiextensions.k8s.io", "CustomResourceDefinition")
_CHECKS_AT_ONCE = 16
_NAMESPACE = ("", "Namespace")

Name = tuple[str, str]


class Assessment(msgspec.Struct, frozen=True):
    """What a restore would do, object by object, and the kinds that it would write."""

    candidates: tuple[Candidate, ...]
    extras: tuple[Extra, ...]
    muted: tuple[Muted, ...]
    kinds: tuple[Kind, ...]


class Prepared(msgspec.Struct, frozen=True):
    """A restore that is planned, and what it was planned on."""

    plan: Plan
    assessment: Assessment
    volumes: tuple[VolumeStep, ...] = ()


async def assess(
    connection: Connection, archive: Archive, options: RestoreOptions, home: str = ""
) -> Assessment:
    """Decide on every object of a backup that is chosen.

    `home` is the namespace of who prunes, which is spared with all that is allowed to it.
    """
    found = await discover(connection)
    assessor = _Assessor(connection, archive, options, found)
    await assessor.prepare()
    for of in archive.kinds(options.selection):
        await assessor.kind(of)
    await assessor.namespaces()
    extras = await assessor.extras(home) if options.prune else ()
    muted = () if options.keep_webhooks else await find_muted(connection)
    return Assessment(assessor.candidates(), extras, muted, assessor.kinds())


async def context(
    archive: Archive, served: Served, selection: Selection
) -> tuple[Served, Surroundings]:
    """What will be served once the backup's definitions are there, and what decides on objects."""
    definitions = await archive.find(Selection(kinds=(_DEFINITIONS[1],), cluster_scoped=True))
    coming = [
        kind
        for stored, manifest in definitions
        if selection.has_kind(stored.kind) and selection.has_key(stored.kind, "", stored.name)
        for kind in defined_kinds(modern(manifest))
    ]
    around = await archive.find(Selection(kinds=DECISIVE_KINDS, cluster_scoped=True))
    return served.with_kinds(coming), surroundings(manifest for _, manifest in around)


class _Found(msgspec.Struct, gc=False):
    """A decision on its way: owners are known by their UIDs first, namespaces come later."""

    key: str
    content: str
    rank: int
    action: Action
    verdict: Verdict | None
    owner_uids: tuple[str, ...] = ()
    namespace: str = ""


class _Assessor:
    def __init__(
        self, connection: Connection, archive: Archive, options: RestoreOptions, found: Discovery
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._options = options
        self._served_now = found.served
        self._served = found.served
        self._around = NOTHING_AROUND
        self._found: list[_Found] = []
        self._key_of_uid: dict[str, str] = {}
        self._live: dict[str, dict[Name, LiveObject]] = {}
        self._kinds: dict[str, Kind] = {}
        self._wanted: dict[str, set[Name]] = {}
        self._gate = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._checker = Writer(connection, dry_run=True)

    async def prepare(self) -> None:
        """Read what decides on other objects."""
        self._served, self._around = await context(
            self._archive, self._served_now, self._options.selection
        )

    async def kind(self, of: KindContents) -> None:
        """Decide on every chosen object of one kind."""
        async for batch in self._archive.objects(of, self._options.selection):
            decided = [self._object(stored, manifest) for stored, manifest in batch]
            self._found += await asyncio.gather(*decided)
        # The bodies of one kind at a time are enough.
        for name in [name for name in self._live if not self._options.prune]:
            self._live[name] = {
                key: msgspec.structs.replace(each, body=b"")
                for key, each in self._live[name].items()
            }

    async def _object(self, stored: Stored, manifest: Manifest) -> _Found:
        metadata = manifest["metadata"]
        key = key_of_stored(stored)
        self._key_of_uid[metadata.get("uid", "")] = key
        found = _Found(
            key=key,
            content=stored.id.hex(),
            rank=rank(stored.kind.group_kind),
            action=Action.SKIP,
            verdict=None,
            owner_uids=tuple(
                each["uid"]
                for each in parts(metadata, "ownerReferences")
                if not (each.get("controller") and stored.kind.group_kind in ADOPTED)
            ),
        )
        if why := why_never(manifest, stored.kind.group, self._around):
            found.verdict = skipped(key, "NeverRestored", why)
            return found
        try:
            kind, wanted = transform(
                manifest, self._served, self._options, self._around.kept_volumes
            )
        except UnconvertibleError as error:
            found.action = Action.REFUSE
            found.verdict = refused(key, error.reason, error.message, error.hint)
            return found
        found.rank = rank(kind.group_kind)
        found.namespace = wanted["metadata"].get("namespace", "")
        self._kinds[kind.name] = kind
        name = (found.namespace, wanted["metadata"]["name"])
        self._wanted.setdefault(kind.name, set()).add(name)
        live = await self._look(kind, name, wanted)
        found.action, found.verdict = decide(key, kind.name, live, self._options.existing)
        return found

    async def _look(self, kind: Kind, name: Name, wanted: Manifest) -> Live | None:
        there = (await self._live_of(kind)).get(name)
        if there is None:
            return None
        if there.is_terminating or self._options.existing is Existing.SKIP:
            return Live(uid=there.uid, is_terminating=there.is_terminating)
        manifest = there.manifest
        if are_equal(manifest, wanted, kind.group):
            return Live(uid=there.uid, is_equal=True)
        return await self._check_update(kind, there, manifest, wanted)

    async def _check_update(
        self, kind: Kind, there: LiveObject, manifest: Manifest, wanted: Manifest
    ) -> Live:
        """Ask the server what an update would do: nothing, what is wanted, or that it refuses."""
        patch = merge_patch(manifest, wanted, kind.group)
        try:
            async with self._gate:
                after = await self._checker.patch_raw(
                    kind.resource, there.name, patch, namespace=there.namespace
                )
        except ShipkeeperError as error:
            return Live(uid=there.uid, obstacle=error.message)
        return Live(uid=there.uid, is_equal=are_equal(manifest, after, kind.group))

    async def _live_of(self, kind: Kind) -> dict[Name, LiveObject]:
        """What is there of a kind; read once."""
        if kind.name not in self._live:
            self._live[kind.name] = await self._read_live(kind)
        return self._live[kind.name]

    async def _read_live(self, kind: Kind) -> dict[Name, LiveObject]:
        if self._served_now.find(kind.api_version, kind.kind) is None:
            return {}
        with_bodies = self._options.prune or self._options.existing is not Existing.SKIP
        found: dict[Name, LiveObject] = {}
        async for page in live_objects(self._connection, kind, with_bodies=with_bodies):
            found |= {(each.namespace, each.name): each for each in page}
        return found

    async def namespaces(self) -> None:
        """Let the namespaces that objects need come along, or refuse the objects."""
        needed = {
            each.namespace
            for each in self._found
            if each.action is Action.CREATE and each.namespace
        }
        kind = self._served_now.find("v1", "Namespace")
        if kind is None or not needed:
            return
        there = {name for _, name in await self._live_of(kind)}
        there |= {name for _, name in self._wanted.get(kind.name, ())}
        missing = needed - there
        if missing:
            missing -= await self._bring_along(missing)
        for each in self._found:
            if each.namespace in missing and each.action is Action.CREATE:
                each.action = Action.REFUSE
                each.verdict = refused(
                    each.key,
                    "NamespaceMissing",
                    f"there is no namespace {each.namespace}, neither here nor in the backup",
                    f"make it first: kubectl create namespace {each.namespace}",
                )

    async def _bring_along(self, missing: set[str]) -> set[str]:
        """Add the Namespaces of the backup that are missing in the target; which those are."""
        sources = {new: old for old, new in self._options.namespaces.items()}
        names = tuple(f"namespace/{sources.get(name, name)}" for name in sorted(missing))
        of = self._archive.contents.of(_NAMESPACE)
        if of is None:
            return set()
        brought: set[str] = set()
        async for batch in self._archive.objects(of, Selection(names=names)):
            for stored, manifest in batch:
                self._found.append(await self._object(stored, manifest))
                old = stored.name
                brought.add(self._options.namespaces.get(old, old))
        return brought

    async def extras(self, namespace: str) -> tuple[Extra, ...]:
        """What is in the target and not in the backup, of the kinds and namespaces chosen."""
        found: list[Extra] = []
        home = home_of(namespace, await self._bindings()) if namespace else None
        for of in self._archive.kinds(self._options.selection):
            kind = self._kinds.get(of.kind.name) or self._served_now.find(
                of.kind.api_version, of.kind.kind
            )
            if kind is None:
                continue
            try:
                live = await self._live_of(kind)
            except NotFoundError:
                continue
            wanted = self._wanted.get(kind.name, set())
            found += find_extras(kind, live.values(), wanted, self._options, home)
        return tuple(found)

    async def _bindings(self) -> list[LiveObject]:
        """Who may what: all bindings that are there."""
        found: list[LiveObject] = []
        for each in ("ClusterRoleBinding", "RoleBinding"):
            if (kind := self._served_now.find(f"{RBAC}/v1", each)) is not None:
                found += (await self._live_of(kind)).values()
        return found

    def candidates(self) -> tuple[Candidate, ...]:
        """Every decision, with the owners that are in the backup."""
        return tuple(self._candidate(each) for each in self._found)

    def _candidate(self, found: _Found) -> Candidate:
        owners = (self._key_of_uid.get(uid) for uid in found.owner_uids)
        return Candidate(
            key=found.key,
            content=found.content,
            rank=found.rank,
            action=found.action,
            owners=tuple(owner for owner in owners if owner),
            verdict=found.verdict,
        )

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of the target that are written, as far as they are served already."""
        return tuple(
            kind
            for kind in self._kinds.values()
            if self._served_now.find(kind.api_version, kind.kind)
        )


def key_of_stored(stored: Stored) -> str:
    """`configmaps/namespace/name`, with nothing between the slashes where there is no namespace."""
    return f"{stored.kind.name}/{stored.namespace}/{stored.name}"
