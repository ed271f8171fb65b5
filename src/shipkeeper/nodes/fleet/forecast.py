"""A rehearsal: the run of a plan in virtual time, on the state that was observed; pure.

Steps begin as in a real run (engine/schedule.py), nodes only while a maintenance window is open.
Evictions wait for their budgets, replacements get Ready after a while, pods go where there is room,
gates wait until all of them are back. How long things take is the pace.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.schedule import Ending, Schedule
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.nodes.disruption import ignores_budgets
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.pace import Pace
from shipkeeper.nodes.fleet.placement import Misfit, Placement
from shipkeeper.nodes.plan import MOVING, is_surging, nodes_of
from shipkeeper.nodes.windows import ALWAYS, Windows

_WAITS_FOR_NAMES = "StatefulSet"
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class NodeForecast(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When a node begins, is drained and is back, in seconds from the start of the run."""

    node: str
    begins: float
    drained: float
    ends: float


class Forecast(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a run goes: its length in seconds, its nodes, and how often pods move in all.

    `stuck` names the nodes that never end: a pod of them waits for a budget for good.
    """

    makespan: float
    moves: int
    nodes: tuple[NodeForecast, ...]
    stuck: tuple[str, ...] = ()


class Move(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A pod on its way: evicted `at`, replaced by one that is `ready` elsewhere; in seconds.

    Of one that finds no new place `to` is empty and `ready` None: nothing makes it anew, or it fits
    nowhere.
    """

    pod: str
    from_: str
    to: str
    at: float
    ready: float | None


def forecast(
    state: FleetState, plan: Plan, pace: Pace, windows: Windows = ALWAYS, now: datetime = _ANY_TIME
) -> Forecast:
    """Play a plan to its end, from `now` on; without windows it is all the same when that is."""
    return _Rehearsal(state, plan, pace, windows, now).play()


def forecast_moves(
    state: FleetState, plan: Plan, pace: Pace, windows: Windows = ALWAYS, now: datetime = _ANY_TIME
) -> tuple[Forecast, tuple[Move, ...]]:
    """The same, with every move of a pod; those that find no new place come first."""
    rehearsal = _Rehearsal(state, plan, pace, windows, now)
    told = rehearsal.play()
    return told, (*rehearsal.lost(), *rehearsal.made)


class _Rehearsal:
    def __init__(
        self, state: FleetState, plan: Plan, pace: Pace, windows: Windows, now: datetime
    ) -> None:
        self._pace = pace
        self._plan = plan
        self._windows = windows
        self._began_at = now
        self._opens_at = 0.0
        self._schedule = Schedule(plan)
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.made: list[Move] = []
        self._left_at: dict[str, tuple[str, float]] = {}
        self._placeless: dict[str, str] = {}
        self._moves = 0
        self._ended_at = 0.0
        self._began: dict[str, float] = {}
        self._drained: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        is_steered = any(step.action == "steer" for step in plan.steps)
        self._placement = Placement(
            state.cluster,
            state.everything,
            state.volumes,
            disturbed=nodes_of(plan) if is_steered else (),
        )
        self._moving = {
            item.uid: item
            for step in plan.steps
            if step.action == "drain"
            for item in step.items
            if item.action in MOVING
        }
        self._budget_of = {
            pod.uid: budgets[0].key
            for pod in state.pods
            if not ignores_budgets(pod) and len(budgets := state.budgets_of(pod)) == 1
        }
        self._allowed = {budget.key: budget.status.disruptions_allowed for budget in state.budgets}
        self._queues: defaultdict[str, deque[tuple[SchedulablePod, Step]]] = defaultdict(deque)
        self._tiers: dict[str, deque[list[SchedulablePod]]] = {}
        self._left: dict[str, int] = {}
        self._homeless: list[SchedulablePod] = []
        self._missing = 0
        self._closed_gates: list[Step] = []

    def play(self) -> Forecast:
        self._begin_steps()
        while self._events:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        return Forecast(
            makespan=round(self._ended_at, 2),
            moves=self._moves,
            nodes=tuple(
                NodeForecast(
                    node=name,
                    begins=round(self._began[name], 2),
                    drained=round(self._drained[name], 2),
                    ends=round(self._ended[name], 2),
                )
                for name in self._ended
            ),
            stuck=tuple(name for name in nodes_of(self._plan) if name not in self._ended),
        )

    def lost(self) -> Iterator[Move]:
        """The moves of pods that left, and for which none came elsewhere."""
        for uid, key in self._placeless.items():
            source, at = self._left_at[uid]
            yield Move(pod=key, from_=source, to="", at=at, ready=None)

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._order), happen))

    def _begin_steps(self) -> None:
        is_paused = not self._windows.is_open(self._clock)
        for step in self._schedule.begin(is_paused=is_paused):
            self._begin(step)
        if is_paused and not self._schedule.is_over:
            self._await_window()

    @property
    def _clock(self) -> datetime:
        return self._began_at + timedelta(seconds=self._now)

    def _await_window(self) -> None:
        """Go on when a window opens; never, if none does within ten years."""
        opens = self._windows.opens_next(self._clock)
        if opens is not None and self._opens_at <= self._now:
            self._opens_at = (opens - self._began_at).total_seconds()
            self._after(self._opens_at - self._now, self._begin_steps)

    def _begin(self, step: Step) -> None:
        name = step.target.removeprefix("node/")
        match step.action:
            case "cordon":
                self._began[name] = self._now
                self._placement.close(name)
                self._after(self._pace.step, lambda: self._end(step))
            case "drain":
                self._drain(step, name)
            case "daemons":
                self._after(self._pace.leave, lambda: self._end(step))
            case "update":
                self._after(self._pace.update + self._pace.step, lambda: self._end(step))
            case "uncordon":
                self._after(self._pace.step, lambda: self._reopen(step, name))
            case "gate":
                self._closed_gates.append(step)
                self._open_gates()
            case _:
                self._after(self._pace.step, lambda: self._end(step))

    def _end(self, step: Step) -> None:
        self._ended_at = self._now
        self._schedule.end(step, Ending.DONE)
        self._begin_steps()

    def _reopen(self, step: Step, name: str) -> None:
        self._ended[name] = self._now
        self._placement.reopen(name, is_done=True)
        homeless, self._homeless = self._homeless, []
        for pod in homeless:
            self._settle(pod)
        self._end(step)

    def _open_gates(self) -> None:
        """Let go on what waits for the workloads to be whole again."""
        if self._missing:
            return
        gates, self._closed_gates = self._closed_gates, []
        for gate in gates:
            self._after(self._pace.soak + self._pace.step, partial(self._end, gate))

    def _drain(self, step: Step, name: str) -> None:
        """Let the pods leave, tier after tier."""
        tiers: defaultdict[int, list[SchedulablePod]] = defaultdict(list)
        for pod in self._placement.rooms[name].pods.values():
            if pod.uid in self._moving:
                tiers[self._moving[pod.uid].tier].append(pod)
        self._tiers[step.id] = deque(tiers[tier] for tier in sorted(tiers))
        self._next_tier(step)

    def _next_tier(self, step: Step) -> None:
        if not self._tiers[step.id]:
            self._finish_drain(step)
            return
        pods = self._tiers[step.id].popleft()
        self._left[step.id] = len(pods)
        for pod in pods:
            self._depart(pod, step)

    def _depart(self, pod: SchedulablePod, step: Step) -> None:
        budget = self._budget_of.get(pod.uid)
        if is_surging(self._moving[pod.uid]):
            # Its second pod gets Ready before.
            self._after(self._pace.replace, lambda: self._evict(pod, step))
        elif budget is None:
            self._evict(pod, step)
        else:
            self._queues[budget].append((pod, step))
            self._admit(budget)

    def _admit(self, budget: str) -> None:
        queue = self._queues[budget]
        while queue and self._allowed[budget] > 0:
            self._allowed[budget] -= 1
            self._evict(*queue.popleft())

    def _evict(self, pod: SchedulablePod, step: Step) -> None:
        self._moves += 1
        self._left_at[pod.uid] = (step.target.removeprefix("node/"), self._now)
        self._placeless[pod.uid] = pod.key
        owner = pod.metadata.controller
        self._missing += owner is not None
        self._after(self._pace.leave_of(pod), lambda: self._leave(pod, step))
        # The next pod of a StatefulSet has the name of the one that leaves, and has to wait for it.
        if owner is not None and owner.kind != _WAITS_FOR_NAMES:
            self._settle(pod)

    def _leave(self, pod: SchedulablePod, step: Step) -> None:
        self._placement.take(pod, step.target.removeprefix("node/"))
        self._left[step.id] -= 1
        if self._left[step.id] == 0:
            self._next_tier(step)
        owner = pod.metadata.controller
        if owner is not None and owner.kind == _WAITS_FOR_NAMES:
            self._settle(pod)

    def _settle(self, pod: SchedulablePod) -> None:
        chosen = self._placement.choose(pod)
        if isinstance(chosen, Misfit):
            self._homeless.append(pod)
            return
        self._placement.put(pod, chosen)
        del self._placeless[pod.uid]
        source, at = self._left_at[pod.uid]
        ready = self._now + self._pace.replacement_of(pod)
        self.made.append(Move(pod=pod.key, from_=source, to=chosen, at=at, ready=ready))
        self._after(self._pace.replacement_of(pod), lambda: self._replaced(pod))

    def _replaced(self, pod: SchedulablePod) -> None:
        self._missing -= 1
        self._open_gates()
        budget = self._budget_of.get(pod.uid)
        if budget is not None and not is_surging(self._moving[pod.uid]):
            self._allowed[budget] += 1
            self._admit(budget)

    def _finish_drain(self, step: Step) -> None:
        self._drained[step.target.removeprefix("node/")] = self._now
        self._after(self._pace.step, lambda: self._end(step))
