"""Backups: the list, what is in one, what is different, and bringing objects back."""

import asyncio
from collections.abc import Container, Hashable, Iterable, Mapping
from typing import Any

import msgspec
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipkeeper.backup.assess import Prepared
from shipkeeper.backup.catalog import Catalog
from shipkeeper.backup.comparing import LiveSide
from shipkeeper.backup.difference import Comparison, ObjectChange
from shipkeeper.backup.gist import gist_of
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.manifest import is_list, is_map
from shipkeeper.backup.masking import is_secret, masked
from shipkeeper.backup.rehearsal import rehearse
from shipkeeper.backup.restore import permissions_of, prepare
from shipkeeper.backup.restore_plan import Action, has_work
from shipkeeper.backup.restore_report import planned_restore
from shipkeeper.backup.selection import Selection, require_known_kinds
from shipkeeper.engine.plan import Plan
from shipkeeper.kube.access import Permission
from shipkeeper.kube.resources import NAMESPACES
from shipkeeper.web.agreed import ShownPlans
from shipkeeper.web.answers import json_response, read_body, read_query
from shipkeeper.web.commands import start
from shipkeeper.web.console import Console
from shipkeeper.web.library import Library, Listed, Opened
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.person import Missing, Person
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.restore_form import RestoreForm
from shipkeeper.web.view import View

_SEES_BACKUPS = (Permission(verb="list", resource=NAMESPACES),)
_PAGE = 200
_CHANGES = 300
_OBJECTS = 2_000
_LONGEST = 2_000  # characters of a value that is shown


class ObjectsQuery(msgspec.Struct, frozen=True):
    """Which objects of a backup."""

    backup: str
    kind: str = ""
    namespace: str = ""
    find: str = ""
    first: int = 0


class ObjectQuery(msgspec.Struct, frozen=True):
    """One object of a backup."""

    backup: str
    kind: str
    name: str
    namespace: str = ""


class DiffQuery(msgspec.Struct, frozen=True):
    """Two backups or snapshots, or one and (`new` empty) the cluster."""

    old: str
    new: str = ""
    kind: str = ""
    namespace: str = ""
    everything: bool = False


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A restore to be planned; `asks_server` has the API server look at each object, too."""

    form: RestoreForm
    asks_server: bool = False


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A restore to be begun: what was asked for, and the digest of the plan that was shown."""

    form: RestoreForm
    digest: str


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An act that needs no words."""


class BackupsPage:
    """The page: it has no stream, backups do not change."""

    info = PageInfo(name="backups", title="Backups", needs=_SEES_BACKUPS)

    def __init__(self, console: Console) -> None:
        self._console = console
        directory = console.directory.parent / "backup" / "verified"
        self._library = Library(console.place, directory, self._is_shown)
        self._shown = ShownPlans()

    def routes(self) -> list[Route]:
        """The questions and the acts."""
        return [
            Route("/api/backups/list", self.list),
            Route("/api/backups/verify", self.verify, methods=["POST"]),
            Route("/api/backups/objects", self.objects),
            Route("/api/backups/object", self.object),
            Route("/api/backups/diff", self.diff),
            Route("/api/backups/plan", self.plan, methods=["POST"]),
            Route("/api/backups/restore", self.restore, methods=["POST"]),
        ]

    def parse(self, query: Query) -> None:
        """Nothing is followed here."""

    def version(self, person: Person, asked: Any) -> Hashable:
        """Nothing is followed here."""
        return 0

    async def look(self, person: Person, asked: Any) -> View:
        """Nothing is followed here."""
        return View()

    async def list(self, request: Request) -> Response:
        """Every backup and snapshot, with its size, what it added, and when it was verified.

        What is in one, which kinds and how many of each, is for who may list them: `objects` tells.
        """
        person = self._console.sessions.of(request).person
        await _require(person, _SEES_BACKUPS)
        place = self._library.place
        # First: of a verification that ends meanwhile it is told that it goes on, never neither.
        verifying = self._library.verifying
        shelf = await self._library.shelf()
        return json_response(
            {
                "url": place.url if person.is_local else None,
                "isReadable": bool(place.identity),
                "backups": shelf.backups
                if person.is_local
                else [_closed(each) for each in shelf.backups],
                "snapshots": shelf.snapshots,
                "verified": shelf.verified,
                "verifying": verifying,
            }
        )

    async def verify(self, request: Request) -> Response:
        """Begin to verify the repository."""
        person = self._console.sessions.require_csrf(request).person
        await read_body(request, Nothing)
        await _require(person, _SEES_BACKUPS)
        await self._library.begin_verifying()
        return json_response({}, status=202)

    async def objects(self, request: Request) -> Response:
        """Names by kind and namespace, as far as this person may list the same in the cluster."""
        person = self._console.sessions.of(request).person
        query = read_query(request, ObjectsQuery)
        catalog = await self._opened(person, query.backup)
        kinds = catalog.kinds.values()
        missing = await _unlisted(person, kinds, query.namespace)
        elsewhere = await _unlisted(person, kinds, "") if query.namespace else missing
        found = await asyncio.to_thread(
            catalog.leaf,
            kind=query.kind,
            namespace=query.namespace,
            find=query.find,
            hidden=missing.keys(),
            elsewhere=elsewhere.keys(),
            first=max(query.first, 0),
            most=_PAGE,
        )
        return json_response(
            {
                "title": catalog.title,
                "total": found.total,
                "kinds": found.kinds,
                "namespaces": found.namespaces,
                "matching": found.matching,
                "first": max(query.first, 0),
                "rows": [
                    {
                        "kind": each.kind.name,
                        "namespace": each.namespace,
                        "name": each.name,
                        "size": each.size,
                    }
                    for each in found.rows
                ],
                "missing": tuple(missing.values()),
            }
        )

    async def object(self, request: Request) -> Response:
        """One object as YAML; of a Secret its keys alone."""
        person = self._console.sessions.of(request).person
        query = read_query(request, ObjectQuery)
        catalog = await self._opened(person, query.backup)
        # Asked first: what is not there must not be told from what may not be seen.
        await _require(person, [_listing(catalog.kind(query.kind), query.namespace)])
        manifest = await catalog.read(query.kind, query.namespace, query.name)
        text = yaml.dump(
            masked(manifest), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True
        )
        return json_response({"yaml": text, "isMasked": is_secret(manifest)})

    async def diff(self, request: Request) -> Response:
        """What is different between two backups, or a backup and the cluster."""
        person = self._console.sessions.of(request).person
        query = read_query(request, DiffQuery)
        old = await self._opened(person, query.old)
        new = await self._opened(person, query.new) if query.new else None
        kinds = {**old.kinds, **(new.kinds if new else {})}
        missing = await _unlisted(person, kinds.values(), query.namespace)
        selection = Selection(
            kinds=(query.kind,) if query.kind else (),
            namespaces=(query.namespace,) if query.namespace else (),
            not_kinds=tuple(missing),
        )
        side = new.side() if new else LiveSide(person.connection)
        found = await old.compare(side, selection, everything=query.everything)
        return json_response({**_comparison(found, missing), "missing": tuple(missing.values())})

    async def plan(self, request: Request) -> Response:
        """The plan of a restore, as `shipkeeper backup restore --dry-run` makes it."""
        person = self._console.sessions.require_csrf(request).person
        wish = await read_body(request, Wish)
        catalog, prepared = await self._prepare(person, wish.form)
        plan = prepared.plan
        if wish.asks_server:
            options = wish.form.options()
            plan = await rehearse(person.connection, catalog.archive, prepared, options)
        missing = await person.missing(permissions_of(prepared))
        words = self._words(catalog, wish.form)
        place = self._repository_flags() if person.is_local else ()
        return json_response(
            {
                **_plan(plan),
                "digest": self._shown.keep(gist_of(prepared.plan)),
                "wasAsked": wish.asks_server,
                "command": self._console.settings.command_line(*words, *place),
                "missing": missing,
            }
        )

    async def restore(self, request: Request) -> Response:
        """Begin a restore, unless its plan is by now another than the one that was shown."""
        person = self._console.sessions.require_csrf(request).person
        wish = await read_body(request, Start)
        catalog, prepared = await self._prepare(person, wish.form)
        self._shown.require(wish.digest, gist_of(prepared.plan))
        if not has_work(prepared.plan):
            raise RefusedError(409, "there is nothing to restore", reason="NothingToDo")
        await _require(person, permissions_of(prepared))
        words = (*self._words(catalog, wish.form), *self._repository_flags())
        command = start(self._console, person, words, agreed=wish.digest)
        return json_response({"run": await command.begun()}, status=201)

    def _is_shown(self, cluster: str) -> bool:
        return self._console.shows(cluster)

    async def _opened(self, person: Person, name: str) -> Opened:
        await _require(person, _SEES_BACKUPS)
        return await self._library.opened(name)

    async def _catalog(self, person: Person, backup: str) -> Catalog:
        await _require(person, _SEES_BACKUPS)
        return await self._library.catalog(backup)

    async def _prepare(self, person: Person, form: RestoreForm) -> tuple[Catalog, Prepared]:
        form.require_fitting()
        catalog = await self._catalog(person, form.backup)
        options = form.options()
        require_known_kinds(options.selection, list(catalog.kinds.values()))
        await _require(person, _reads(catalog, form))
        repository = await self._library.repository()
        found = await prepare(person.connection, catalog.archive, repository.id, options)
        return catalog, found

    def _words(self, catalog: Catalog, form: RestoreForm) -> tuple[str, ...]:
        # By its whole name: what is the latest may be another one a moment later, or elsewhere.
        named = msgspec.structs.replace(form, backup=catalog.archive.backup.name)
        return ("backup", "restore", *named.arguments())

    def _repository_flags(self) -> tuple[str, ...]:
        place = self._library.place
        flags = {
            "repo": place.url,
            "endpoint": place.endpoint,
            "key": place.key,
            "identity": place.identity,
        }
        return tuple(f"--{name}={value}" for name, value in flags.items() if value)


def _reads(catalog: Catalog, form: RestoreForm) -> set[Permission]:
    """Whoever restores an object can read it afterwards, so it takes the right to do so before."""
    chosen = form.options().selection
    return {
        _listing(kind, namespace)
        for kind, namespace in catalog.places()
        if chosen.has_kind(kind) and (not form.namespaces or namespace in ("", *form.namespaces))
    }


def _listing(kind: Kind, namespace: str) -> Permission:
    where = namespace if kind.namespaced else ""
    return Permission(verb="list", resource=kind.resource, namespace=where)


async def _require(person: Person, needed: Iterable[Permission]) -> None:
    """RefusedError if somebody may not; who runs the console has the keys to the backups anyway."""
    if person.is_local:
        return
    missing = await person.missing(needed)
    if missing:
        first = missing[0]
        more = f", and {len(missing) - 1} more permissions" if len(missing) > 1 else ""
        raise RefusedError(
            403,
            f"you may not {first.words}{more}",
            reason="Forbidden",
            hint=f"ask for the permission, then check it: kubectl auth can-i {first.can_i}",
        )


async def _unlisted(person: Person, kinds: Iterable[Kind], namespace: str) -> dict[str, Missing]:
    """The kinds whose objects somebody may not list in the cluster, so neither in its backups."""
    if person.is_local:
        return {}
    by_name = {each.name: _listing(each, namespace) for each in kinds}
    found: dict[str, Missing] = {}
    for name, permission in by_name.items():
        for each in await person.missing([permission]):
            found[name] = each
    return found


def _closed(listed: Listed) -> Listed:
    """A backup in the list without what is in it."""
    row = msgspec.structs.replace(listed.row, contents=None)
    return msgspec.structs.replace(listed, row=row)


def _comparison(found: Comparison, hidden: Container[str]) -> Mapping[str, Any]:
    """What is different; what was not compared begins with its kind, which may be hidden."""
    return {
        "old": found.old,
        "new": found.new,
        "total": len(found.changes),
        "changes": [_change(each) for each in found.changes[:_CHANGES]],
        "notCompared": {
            what: why
            for what, why in found.not_compared.items()
            if what.partition(" ")[0].removesuffix(",") not in hidden
        },
    }


def _change(found: ObjectChange) -> Mapping[str, Any]:
    return {
        "change": found.change,
        "kind": found.kind,
        "namespace": found.namespace,
        "name": found.name,
        "fields": [
            {"field": each.field, "old": _text(each.old), "new": _text(each.new)}
            for each in found.fields
        ],
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = msgspec.json.encode(value).decode() if is_map(value) or is_list(value) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plan(plan: Plan) -> Mapping[str, Any]:
    found = planned_restore(plan)
    telling = [each for each in found.objects if each.action != Action.SKIP or each.reason]
    return {
        "counts": found.counts,
        "objects": telling[:_OBJECTS],
        "leftOut": len(found.objects) - len(telling[:_OBJECTS]),
        "hasWork": has_work(plan),
        "blockers": plan.blockers[:_OBJECTS],
    }
