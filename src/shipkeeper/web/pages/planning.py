"""Planning a maintenance from the fleet's page: the plan, its rehearsal, and the start of it."""

import asyncio
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.verdict import Verdict
from shipkeeper.kube.access import require_permissions
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.explain import explain_drain, refusals
from shipkeeper.nodes.fleet.forecast import Forecast, Move
from shipkeeper.nodes.fleet.plan import Outlook
from shipkeeper.nodes.gist import gist_of
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.permission import permissions_of
from shipkeeper.nodes.plan import MOVING, nodes_of
from shipkeeper.nodes.procedure import prepare, rehearse_moves
from shipkeeper.nodes.report import plan_line
from shipkeeper.web.agreed import ShownPlans
from shipkeeper.web.answers import json_response, read_body
from shipkeeper.web.commands import start
from shipkeeper.web.console import Console
from shipkeeper.web.form import MaintenanceForm
from shipkeeper.web.person import Missing, Person


class Moving(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What becomes of a pod."""

    pod: str
    node: str
    action: str
    verdicts: tuple[Verdict, ...]


class PlanView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A plan as the page shows it; `digest` tells whether another plan does the same.

    `refused` are the words of the CLI for what stands in the way.
    """

    digest: str
    line: str
    command: str
    waves: tuple[tuple[str, ...], ...]
    least_waves: int
    limits: dict[str, int]
    nodes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    refused: tuple[str, ...]
    pods: tuple[Moving, ...]
    steps: int
    missing: tuple[Missing, ...]


class RehearsalView(msgspec.Struct, frozen=True, kw_only=True):
    """A plan played in virtual time."""

    digest: str
    forecast: Forecast
    moves: tuple[Move, ...]


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be begun: what was asked for, and the digest of the plan that was shown."""

    form: MaintenanceForm
    digest: str


class Planning:
    """The questions and the act."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ShownPlans()

    def routes(self) -> list[Route]:
        """Plan, rehearse, start."""
        return [
            Route("/api/fleet/plan", self.plan, methods=["POST"]),
            Route("/api/fleet/rehearse", self.rehearse, methods=["POST"]),
            Route("/api/fleet/start", self.start, methods=["POST"]),
        ]

    async def plan(self, request: Request) -> Response:
        """The plan of a maintenance, as `shipkeeper maintain plan` makes it."""
        person = self._console.sessions.require_csrf(request).person
        form = await read_body(request, MaintenanceForm)
        state, plan, _ = await self._prepare(person, form)
        missing = await person.missing(permissions_of(plan))
        digest = self._shown.keep(gist_of(plan))
        command = self._console.settings.command_line("maintain", "run", *form.arguments())
        view = await asyncio.to_thread(_view, state, plan, form, missing, digest, command)
        return json_response(view)

    async def rehearse(self, request: Request) -> Response:
        """The same plan, played."""
        person = self._console.sessions.require_csrf(request).person
        form = await read_body(request, MaintenanceForm)
        takes = parse_duration(form.update_takes).total_seconds() if form.update_takes else None
        state, plan, options = await self._prepare(person, form)
        async with self._console.planning:
            forecast, moves = await rehearse_moves(person.connection, state, plan, options, takes)
        return json_response(
            RehearsalView(digest=gist_of(plan).digest, forecast=forecast, moves=moves)
        )

    async def start(self, request: Request) -> Response:
        """Begin it, unless the plan is by now another than the one that was shown."""
        person = self._console.sessions.require_csrf(request).person
        wish = await read_body(request, Start)
        wish.form.require_action()
        _, plan, _ = await self._prepare(person, wish.form)
        self._shown.require(wish.digest, gist_of(plan))
        await require_permissions(
            person.connection, permissions_of(plan), if_not_told=person.is_local
        )
        words = ("maintain", "run", *wish.form.arguments())
        command = start(self._console, person, words, agreed=wish.digest)
        return json_response({"run": await command.begun()}, status=201)

    async def _prepare(
        self, person: Person, form: MaintenanceForm
    ) -> tuple[ClusterState, Plan, MaintenanceOptions]:
        form.require_fitting(is_local=person.is_local)
        options = form.options()
        async with self._console.planning:
            state, plan = await prepare(person.connection, form.nodes, "", options)
        return state, plan, options


def _view(
    state: ClusterState,
    plan: Plan,
    form: MaintenanceForm,
    missing: tuple[Missing, ...],
    digest: str,
    command: str,
) -> PlanView:
    outlook = msgspec.convert(plan.outlook, Outlook)
    explained = explain_drain(state, form.options().drain, datetime.now(UTC))
    planned = frozenset(nodes_of(plan))
    return PlanView(
        digest=digest,
        line=plan_line(plan),
        command=command,
        waves=outlook.waves,
        least_waves=outlook.least_waves,
        limits=plan.limits,
        nodes=nodes_of(plan),
        verdicts=plan.verdicts,
        refused=refusals([each for each in explained if not each.drainable]),
        pods=tuple(
            Moving(pod=item.key, node=each.node, action=item.action, verdicts=item.verdicts)
            for each in explained
            if each.node in planned
            for item in each.pods
            if item.action in MOVING
        ),
        steps=len(plan.steps),
        missing=missing,
    )
