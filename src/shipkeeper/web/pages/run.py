"""Run: one run of the journal as it goes on, whoever drives it; paused, resumed, given up."""

import asyncio
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipkeeper.backup.restore_plan import PROCEDURE as RESTORE
from shipkeeper.backup.restore_plan import QUIET
from shipkeeper.backup.webhooks import MUTATING, VALIDATING
from shipkeeper.engine.brake import Brake
from shipkeeper.engine.journal import JournalError, Outcome, RunRecord
from shipkeeper.engine.session import is_driven, run_directory
from shipkeeper.engine.tenure import NAME, NAMESPACE
from shipkeeper.errors import UsageError
from shipkeeper.kube.access import Permission, require_permissions
from shipkeeper.kube.resources import BUDGETS, LEASES, NODES, PODS
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.nodes.picture import PodPicture
from shipkeeper.nodes.replacements import Replacement
from shipkeeper.web.answers import convert_query, json_response, read_body
from shipkeeper.web.commands import start
from shipkeeper.web.console import Console
from shipkeeper.web.following import FollowedRun, FollowedRuns
from shipkeeper.web.gauges import gauges_of
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.pages.export import export_page
from shipkeeper.web.person import Person
from shipkeeper.web.plan_words import plan_words
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.view import View

# What a host is done to by itself; any other work is a script on the console's machine.
_OWN_WORKS = frozenset({"", "os-update", "reboot", "reboot-always"})
# What can be resumed, and given up, without anything but the journal.
_ALONE = frozenset({"drain", "maintain", "upgrade"})
_GIVEN_UP = _ALONE | {RESTORE}
_NOTES = 200
_AT_REST = frozenset({"Pending", "Done", "Undone"})


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which run, and the node whose pods are shown although it is at rest."""

    run: str = ""
    node: str = ""


class RunWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run that something is to be done with."""

    run: str


class Way(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pod's way from its eviction to its replacement."""

    pod: PodPicture
    replacement: Replacement | None


class RunPage:
    """The page; a run is folded once, however many look at it."""

    info = PageInfo(
        name="run",
        title="Run",
        needs=tuple(Permission(verb="list", resource=each) for each in (NODES, PODS, BUDGETS)),
    )

    def __init__(self, console: Console) -> None:
        self._console = console
        self._runs = FollowedRuns(console)

    def routes(self) -> list[Route]:
        """What can be done with a run, and the page of it that can be kept."""
        return [
            Route("/api/run/pause", self.pause, methods=["POST"]),
            Route("/api/run/resume", self.resume, methods=["POST"]),
            Route("/api/run/abort", self.abort, methods=["POST"]),
            Route("/api/run/{run}/plan", self.plan),
            Route("/api/run/{run}/export.html", self.export),
        ]

    def parse(self, query: Query) -> RunQuery:
        """Which run; the newest if none is named."""
        return convert_query(query, RunQuery)

    def version(self, person: Person, asked: RunQuery) -> Hashable:
        """What was written, told or seen since."""
        run = self._runs.find(asked.run)
        return None if run is None else run.version

    async def look(self, person: Person, asked: RunQuery) -> View:
        """The run, its nodes, the ways of pods, budgets, and what was said."""
        run = self._runs.find(asked.run)
        if run is None:
            return View({"none": asked.run})
        run.refresh()
        picture = run.picture
        shown = [
            name
            for name, node in picture.nodes.items()
            if node.state not in _AT_REST or name == asked.node
        ]
        first = max(len(picture.notes) - _NOTES, 0)
        return View(
            {
                "run": run.head(),
                "waves": picture.waves,
                "refused": run.record.plan.blockers,
                **{f"node/{name}": node for name, node in picture.nodes.items()},
                **{f"gate/{name}": gate for name, gate in picture.gates.items()},
                **{f"ways/{name}": self._ways(run, picture.pods_of(name)) for name in shown},
                **{f"budget/{each.name}": each for each in gauges_of(run)},
                "notes": tuple(picture.notes[first:]),
                "revisions": tuple(picture.revisions),
            },
            tuple(f"node/{name}" for name in picture.nodes),
        )

    def _ways(self, run: FollowedRun, pods: Iterable[PodPicture]) -> tuple[Way, ...]:
        left = list(pods)
        found = run.replacements
        return tuple(Way(pod=pod, replacement=found.get(pod.uid)) for pod in left)

    async def pause(self, request: Request) -> Response:
        """Let a run begin no further node."""
        person, record = await self._wanted(request)
        if record.procedure != "maintain" or not is_driven(self._console.journal, record.id):
            raise UsageError(
                f"run {record.id} cannot be paused: it is no maintenance that is running",
                reason="NotRunning",
            )
        await require_permissions(
            person.connection, permissions_of(record.plan), if_not_told=person.is_local
        )
        Brake(run_directory(self._console.journal, record.id)).put_on()
        return json_response({})

    async def resume(self, request: Request) -> Response:
        """Let a paused run begin further nodes, or go on with one that nobody drives."""
        person, record = await self._wanted(request)
        _require_own_machine(person, record)
        await require_permissions(
            person.connection, permissions_of(record.plan), if_not_told=person.is_local
        )
        Brake(run_directory(self._console.journal, record.id)).let_go()
        if not is_driven(self._console.journal, record.id):
            command = start(self._console, person, ("resume", record.id))
            await command.begun()
        return json_response({})

    async def abort(self, request: Request) -> Response:
        """Give a run up that nobody drives; one that is driven is stopped where it was begun."""
        person, record = await self._wanted(request, _GIVEN_UP)
        if is_driven(self._console.journal, record.id):
            raise RefusedError(
                409,
                f"run {record.id} is driven by a process that has to be stopped first",
                reason="RunInProgress",
                hint="pause it here, or stop it with Ctrl-C where it was begun",
            )
        if record.procedure == "upgrade":
            _require_own_machine(person, record)
        needed = (
            _of_webhooks(record) if record.procedure == RESTORE else permissions_of(record.plan)
        )
        await require_permissions(person.connection, needed, if_not_told=person.is_local)
        command = start(self._console, person, ("abort", record.id))
        if await command.ended() != 0:
            raise command.failure()
        return json_response({})

    async def plan(self, request: Request) -> Response:
        """Its plan, word for word as the command line shows it."""
        run = await self._seen(request)
        run.refresh()
        words = await asyncio.to_thread(plan_words, run.record.plan, run.record.started_at)
        return json_response({"words": words})

    async def export(self, request: Request) -> Response:
        """The run as one HTML file that needs nothing else."""
        run = await self._seen(request)
        run.refresh()
        # Of the picture itself only this loop may know: it changes while a thread reads it.
        still, came, gauges = run.picture.still(), run.replacements, gauges_of(run)
        body = await asyncio.to_thread(export_page, still, came, gauges)
        return Response(
            body,
            media_type="text/html",
            headers={
                "Content-Disposition": f'attachment; filename="{run.record.id}.html"',
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            },
        )

    async def _seen(self, request: Request) -> FollowedRun:
        """The run that is asked for; RefusedError for who may not see this page."""
        person = self._console.sessions.of(request).person
        missing = await person.missing(self.info.needs)
        run = self._runs.find(request.path_params["run"])
        if missing:
            raise RefusedError(
                403,
                f"not allowed to {missing[0].words}",
                reason="Forbidden",
                hint=f"ask for it, then check it: kubectl auth can-i {missing[0].can_i}",
            )
        if run is None:
            raise RefusedError(404, "there is no such run", reason="RunNotFound")
        return run

    async def _wanted(
        self, request: Request, procedures: Collection[str] = _ALONE
    ) -> tuple[Person, RunRecord]:
        person = self._console.sessions.require_csrf(request).person
        wish = await read_body(request, RunWish)
        try:
            record = self._console.journal.run(wish.run)
        except JournalError as error:
            raise RefusedError(404, error.message, reason="RunNotFound") from error
        if not self._console.shows(record.cluster):
            raise RefusedError(404, f"run {record.id} is another cluster's", reason="RunNotFound")
        if record.procedure not in procedures:
            raise UsageError(
                f"a run of {record.procedure} is driven by the command line alone",
                reason="NeedsCommandLine",
                hint=f"see how with: shipkeeper runs show {record.id}",
            )
        if record.outcome in (Outcome.SUCCEEDED, Outcome.ABORTED):
            raise UsageError(f"run {record.id} has ended: {record.outcome}", reason="RunEnded")
        return person, record


def _of_webhooks(record: RunRecord) -> Iterator[Permission]:
    """What giving a restore up takes: the lock, and the webhooks that it quieted."""
    yield Permission(verb="patch", resource=LEASES, namespace=NAMESPACE, name=NAME)
    if any(step.action == QUIET for step in record.plan.steps):
        yield from (Permission(verb="patch", resource=each) for each in (VALIDATING, MUTATING))


def _is_of_own_machine(request: Mapping[str, Any]) -> bool:
    """Whether a run takes commands, keys, scripts or variables from where the console runs."""
    options: Mapping[str, Any] = request.get("options", {})
    metrics: Mapping[str, Any] = options.get("health", {}).get("prometheus") or {}
    takes = (
        options.get("ssh"),
        options.get("command"),
        options.get("secret_env"),
        options.get("work", "") not in _OWN_WORKS,
        metrics.get("token_file"),
        request.get("upgrade", {}).get("backup"),
    )
    return any(takes)


def _require_own_machine(person: Person, record: RunRecord) -> None:
    """RefusedError if a run works from the console's own machine, and that is not theirs."""
    if not person.is_local and _is_of_own_machine(record.plan.request):
        raise RefusedError(
            403,
            f"run {record.id} is done from the console's own machine, which is not yours",
            reason="LocalOnly",
            hint=f"whoever has that machine goes on with: shipkeeper resume {record.id}",
        )
