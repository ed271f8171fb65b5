"""Planning a maintenance from the fleet's page: the plan, its rehearsal, and the start of it."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
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
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.sessions import Session

_UNPLAYED = 4


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
    """A plan played in virtual time: which one by its `digest`, and in which waves."""

    digest: str
    waves: tuple[tuple[str, ...], ...]
    forecast: Forecast
    moves: tuple[Move, ...]


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be played or begun: what was asked for, and the digest of the plan shown."""

    form: MaintenanceForm
    digest: str


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, what it was made for, and the state that it was made of."""

    form: MaintenanceForm
    state: ClusterState
    plan: Plan
    options: MaintenanceOptions


class Planning:
    """The questions and the act.

    The plan that a session was shown last is kept until it is played, so that a rehearsal is of
    this very plan and nothing is observed twice; few of them, as each has a whole cluster with it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ShownPlans()
        self._unplayed: OrderedDict[str, Prepared] = OrderedDict()

    def routes(self) -> list[Route]:
        """Plan, rehearse, start."""
        return [
            Route("/api/fleet/plan", self.plan, methods=["POST"]),
            Route("/api/fleet/rehearse", self.rehearse, methods=["POST"]),
            Route("/api/fleet/start", self.start, methods=["POST"]),
        ]

    async def plan(self, request: Request) -> Response:
        """The plan of a maintenance, as `shipkeeper maintain plan` makes it."""
        session = self._console.sessions.require_csrf(request)
        form = await read_body(request, MaintenanceForm)
        made = await self._prepare(request, session.person, form)
        missing = await session.person.missing(permissions_of(made.plan))
        digest = self._shown.keep(gist_of(made.plan))
        self._keep(session, made)
        command = self._console.settings.command_line("maintain", "run", *form.arguments())
        view = await asyncio.to_thread(_view, made, missing, digest, command)
        return json_response(view)

    async def rehearse(self, request: Request) -> Response:
        """The plan that was shown, played; a new one if that is not kept any more."""
        session = self._console.sessions.require_csrf(request)
        wish = await read_body(request, Shown)
        asked = wish.form.update_takes
        takes = parse_duration(asked).total_seconds() if asked else None
        made = self._take(session, wish)
        if made is None:
            made = await self._prepare(request, session.person, wish.form)
        async with self._turn(request):
            forecast, moves = await rehearse_moves(
                session.person.connection, made.state, made.plan, made.options, takes
            )
        return json_response(
            RehearsalView(
                digest=gist_of(made.plan).digest,
                waves=_outlook(made.plan).waves,
                forecast=forecast,
                moves=moves,
            )
        )

    async def start(self, request: Request) -> Response:
        """Begin it, unless the plan is by now another than the one that was shown."""
        person = self._console.sessions.require_csrf(request).person
        wish = await read_body(request, Shown)
        wish.form.require_action()
        plan = (await self._prepare(request, person, wish.form)).plan
        self._shown.require(wish.digest, gist_of(plan))
        await require_permissions(
            person.connection, permissions_of(plan), if_not_told=person.is_local
        )
        words = ("maintain", "run", *wish.form.arguments())
        command = start(self._console, person, words, agreed=wish.digest)
        return json_response({"run": await command.begun()}, status=201)

    async def _prepare(self, request: Request, person: Person, form: MaintenanceForm) -> Prepared:
        form.require_fitting(is_local=person.is_local)
        options = form.options()
        async with self._turn(request):
            state, plan = await prepare(person.connection, form.nodes, "", options)
        return Prepared(form=form, state=state, plan=plan, options=options)

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncGenerator[None]:
        """One of the few places to plan in, for whoever still waits for the answer."""
        async with self._console.planning:
            if await request.is_disconnected():
                raise RefusedError(499, "nobody waits for this any more", reason="Abandoned")
            yield

    def _keep(self, session: Session, made: Prepared) -> None:
        self._unplayed[session.id] = made
        self._unplayed.move_to_end(session.id)
        while len(self._unplayed) > _UNPLAYED:
            self._unplayed.popitem(last=False)

    def _take(self, session: Session, wish: Shown) -> Prepared | None:
        made = self._unplayed.get(session.id)
        if made is None or made.form != wish.form or gist_of(made.plan).digest != wish.digest:
            return None
        return self._unplayed.pop(session.id)


def _outlook(plan: Plan) -> Outlook:
    return msgspec.convert(plan.outlook, Outlook)


def _view(made: Prepared, missing: tuple[Missing, ...], digest: str, command: str) -> PlanView:
    plan, outlook = made.plan, _outlook(made.plan)
    explained = explain_drain(made.state, made.options.drain, datetime.now(UTC))
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
