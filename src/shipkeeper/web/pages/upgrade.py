"""Upgrade: versions against the skew policy, what would stop an upgrade, its plan, its start."""

import asyncio
from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, render
from shipkeeper.errors import BlockedError
from shipkeeper.kube.access import require_permissions
from shipkeeper.kube.reader import Reader
from shipkeeper.model.version import Version
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.upgrade.bands import picture
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.check.judge import judge
from shipkeeper.upgrade.check.observe import Wanted, gather_evidence
from shipkeeper.upgrade.gist import gist_of
from shipkeeper.upgrade.observe import observe_versions
from shipkeeper.upgrade.outlook import outlook_of
from shipkeeper.upgrade.plan_report import upgrade_report
from shipkeeper.upgrade.procedure import prepare
from shipkeeper.upgrade.versions import violations
from shipkeeper.web.agreed import ShownPlans
from shipkeeper.web.answers import json_response, read_body, read_query
from shipkeeper.web.commands import start
from shipkeeper.web.console import Console
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.person import Person
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.upgrade_form import UpgradeForm
from shipkeeper.web.view import View

_NEWEST = 200  # no minor of Kubernetes is asked about beyond this one
_STEPS = 1_000


class TargetQuery(msgspec.Struct, frozen=True):
    """The minor that an upgrade would go to."""

    minor: int


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be begun: what was asked for, and the digest of the plan that was shown."""

    form: UpgradeForm
    digest: str


class UpgradePage:
    """The page: it has no stream, every answer tells of when it is."""

    info = PageInfo(name="upgrade", title="Upgrade")

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ShownPlans()

    def routes(self) -> list[Route]:
        """The questions, and the act."""
        return [
            Route("/api/upgrade/versions", self.versions),
            Route("/api/upgrade/check", self.check),
            Route("/api/upgrade/plan", self.plan, methods=["POST"]),
            Route("/api/upgrade/start", self.start, methods=["POST"]),
        ]

    def parse(self, query: Query) -> None:
        """Nothing is followed here."""

    def version(self, person: Person, asked: Any) -> Hashable:
        """Nothing is followed here."""
        return 0

    async def look(self, person: Person, asked: Any) -> View:
        """Nothing is followed here."""
        return View()

    async def versions(self, request: Request) -> Response:
        """Every component by its version, and what breaks the skew policy now."""
        person = self._console.sessions.of(request).person
        seen = await observe_versions(Reader(person.connection))
        now = datetime.now(UTC)
        known = catalog()
        server, place = seen.server_version, self._console.place
        newest = max(known.newest_minor, server.minor)
        return json_response(
            {
                "readAt": now,
                "server": seen.server,
                "isManaged": seen.is_managed,
                # Nobody else can have anything saved there.
                "repository": place.url if place and person.is_local else None,
                "picture": picture(seen, known, now.date()),
                "violations": violations(seen),
                "notSeen": seen.not_seen,
                "endOfLife": known.end_of_life(server.minor),
                "minor": server.minor,
                "targets": [
                    {"minor": minor, "version": str(_target(minor))}
                    for minor in range(server.minor, newest + 1)
                ],
            }
        )

    async def check(self, request: Request) -> Response:
        """What would stop or break an upgrade, as `shipkeeper upgrade check` finds it."""
        person = self._console.sessions.of(request).person
        minor = _minor(request)
        known = catalog()
        evidence = await gather_evidence(person.connection, minor, known, Wanted())
        now = datetime.now(UTC)
        async with self._console.planning:
            findings = await asyncio.to_thread(judge, evidence, minor, known, now)
        return json_response({"readAt": now, "findings": findings})

    async def plan(self, request: Request) -> Response:
        """The plan, word for word as `shipkeeper upgrade plan` proves it; nothing is written."""
        person = self._console.sessions.require_csrf(request).person
        form = await read_body(request, UpgradeForm)
        planned = await self._prepare(person, form)
        now = datetime.now(UTC)
        words = ("upgrade", "run", *form.arguments(self._console.place))
        report = await asyncio.to_thread(render, upgrade_report(planned, now), Format.TEXT)
        return json_response(
            {
                "readAt": now,
                "target": form.to,
                "digest": self._shown.keep(gist_of(planned)),
                "command": self._console.settings.command_line(*words),
                "words": report,
                "outlook": _told(planned),
                "verdicts": planned.verdicts,
                "isRefused": bool(planned.blockers),
                "steps": [
                    {
                        "id": step.id,
                        "action": step.action,
                        "target": step.target,
                        "effect": step.effect,
                    }
                    for step in planned.steps[:_STEPS]
                ],
                "stepCount": len(planned.steps),
                "missing": await person.missing(permissions_of(planned)),
            }
        )

    async def start(self, request: Request) -> Response:
        """Begin it, unless its plan is by now another than the one that was shown."""
        person = self._console.sessions.require_csrf(request).person
        wish = await read_body(request, Start)
        planned = await self._prepare(person, wish.form)
        self._shown.require(wish.digest, gist_of(planned))
        if planned.blockers:
            first = planned.blockers[0]
            raise BlockedError(
                f"{first.target}: {first.message}", reason=first.reason, hint=first.remedy
            )
        if not planned.steps:
            raise RefusedError(409, f"everything is {wish.form.to} already", reason="NothingToDo")
        await require_permissions(
            person.connection, permissions_of(planned), if_not_told=person.is_local
        )
        words = ("upgrade", "run", *wish.form.arguments(self._console.place))
        command = start(self._console, person, words, agreed=wish.digest)
        return json_response({"run": await command.begun()}, status=201)

    async def _prepare(self, person: Person, form: UpgradeForm) -> Plan:
        form.require_fitting(is_local=person.is_local)
        options = form.options(self._console.place)
        async with self._console.planning:
            return await prepare(person.connection, options, catalog())


def _told(planned: Plan) -> dict[str, Any] | None:
    found = outlook_of(planned)
    if found is None:
        return None
    return {
        "hops": found.hops,
        "drains": found.drains,
        "statesProven": found.states_proven,
        "waves": found.node_waves,
        "returnPoints": found.return_points,
    }


def _minor(request: Request) -> int:
    minor = read_query(request, TargetQuery).minor
    if not 0 < minor < _NEWEST:
        raise RefusedError(400, f"there is no Kubernetes 1.{minor}", reason="InvalidVersion")
    return minor


def _target(minor: int) -> Version:
    """The latest patch that is known; of a minor that is not known yet, the first release."""
    return catalog().latest(minor) or Version(1, minor, 0)
