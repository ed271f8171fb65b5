"""Upgrade: what runs against the skew policy, what would stop an upgrade, and its hops."""

import shlex
from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipkeeper.engine.plan import Plan
from shipkeeper.kube.reader import Reader
from shipkeeper.model.version import Version
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, SshAccess
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.upgrade.bands import picture
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.check.judge import judge
from shipkeeper.upgrade.check.observe import Wanted, gather_evidence
from shipkeeper.upgrade.observe import observe_versions
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.outlook import outlook_of
from shipkeeper.upgrade.procedure import prepare
from shipkeeper.upgrade.versions import violations
from shipkeeper.web.answers import json_response, read_query
from shipkeeper.web.console import Console
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.person import Person
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.view import View

_NEWEST = 200  # no minor of Kubernetes is asked about beyond this one
_STEPS = 1_000


class TargetQuery(msgspec.Struct, frozen=True):
    """The minor that an upgrade would go to."""

    minor: int


class UpgradePage:
    """The page: it has no stream, every answer tells of when it is."""

    info = PageInfo(name="upgrade", title="Upgrade")

    def __init__(self, console: Console) -> None:
        self._console = console

    def routes(self) -> list[Route]:
        """The questions."""
        return [
            Route("/api/upgrade/versions", self.versions),
            Route("/api/upgrade/check", self.check),
            Route("/api/upgrade/plan", self.plan),
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
        server = seen.server_version
        newest = max(known.newest_minor, server.minor)
        return json_response(
            {
                "readAt": now,
                "server": seen.server,
                "isManaged": seen.is_managed,
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
        return json_response({"readAt": now, "findings": judge(evidence, minor, known, now)})

    async def plan(self, request: Request) -> Response:
        """The hops, as `shipkeeper upgrade plan` proves them; it is run from the command line."""
        person = self._console.sessions.of(request).person
        target = _target(_minor(request))
        nodes = MaintenanceOptions(drain=DrainOptions(ignore_daemonsets=True), ssh=SshAccess())
        options = UpgradeOptions(target=str(target), goes_without_backup=True, nodes=nodes)
        planned = await prepare(person.connection, options, catalog())
        words = ("shipkeeper", "upgrade", "plan", f"--to={target}", "--ignore-daemonsets")
        return json_response(
            {
                "readAt": datetime.now(UTC),
                "target": str(target),
                "command": shlex.join((*words, "--no-backup")),
                "outlook": _told(planned),
                "verdicts": planned.verdicts,
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
