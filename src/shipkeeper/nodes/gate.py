"""Gates before budgets: an eviction is sent when its budget allows one, not on the off chance.

Every budget has a queue. The pod at its head is let through as soon as the budget's status, which
is watched, allows more disruptions than evictions are under way. The API server has the last word:
a pod that it turns down waits for the next change of the budget.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from shipkeeper.kube.changes import Change, Deleted
from shipkeeper.kube.reflector import Reflector
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.disruption import ignores_budgets, judge_budgets, may_go_unhealthy

# When a budget's status does not change, the head of its queue asks again after this many seconds:
# the watch may be behind.
ASK_AGAIN = 15.0
# How long the disruption controller may take to count an eviction, in seconds.
_DIGESTION = 0.25


class BudgetQueue:
    """The pods that wait for one budget: first come, first served."""

    def __init__(self, allowed: int) -> None:
        # An eviction that meets another write of its budget's status waits half a second and more
        # for another try (EvictionsRetry in the eviction subresource). So they come one by one,
        # each when the disruption controller has taken in the one before.
        self.asking = asyncio.Lock()
        self._digested = asyncio.Event()
        self._undigested = ""
        self._is_noted = False
        self._waiting: deque[tuple[Pod, asyncio.Future[bool]]] = deque()
        self._under_way: dict[str, str] = {}
        self._allowed = allowed
        self._is_shut = False
        self._timer: asyncio.TimerHandle | None = None

    def update(self, budget: PodDisruptionBudget | None) -> None:
        """Take in the budget's new state; without a budget everybody may pass."""
        self._is_shut = False
        if budget is None:
            self._allowed = len(self._waiting) + len(self._under_way)
        else:
            # The status counts these evictions itself, so they no longer count here.
            counted = budget.status.disrupted_pods or {}
            self._digest(counted)
            self._under_way = {u: n for u, n in self._under_way.items() if n not in counted}
            self._allowed = budget.status.disruptions_allowed
        self._admit()

    def expect(self, pod: Pod) -> None:
        """Look out for the note of a pod that is about to be evicted.

        The API server notes it in the budget's status; the disruption controller takes the note out
        when it has counted the pod. Both may be seen before the eviction's own answer.
        """
        self._digested.clear()
        self._undigested = pod.name
        self._is_noted = False

    async def digested(self) -> None:
        """Return when the disruption controller has counted the pod that was expected, or soon."""
        # Nothing is wrong when it takes longer: the next eviction may only have to wait itself.
        with suppress(TimeoutError):
            async with asyncio.timeout(_DIGESTION):
                await self._digested.wait()

    def _digest(self, counted: Mapping[str, object]) -> None:
        if self._undigested in counted:
            self._is_noted = True
        elif self._is_noted:
            self._digested.set()

    @property
    def is_open(self) -> bool:
        """Whether the next pod is let through at once."""
        return not self._waiting and not self._is_shut and len(self._under_way) < self._allowed

    async def enter(self, pod: Pod) -> bool:
        """Wait to be let through; False if the pod was withdrawn meanwhile."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((pod, turn))
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            self.withdraw(pod)
            raise

    def withdraw(self, pod: Pod) -> None:
        """Strike a pod off that is gone, or going without an eviction."""
        self._under_way.pop(pod.uid, None)
        for entry in [each for each in self._waiting if each[0].uid == pod.uid]:
            self._waiting.remove(entry)
            if not entry[1].done():
                entry[1].set_result(False)
        self._admit()

    def turned_down(self, pod: Pod) -> None:
        """The API server refused: let nobody through before the budget changes."""
        self._under_way.pop(pod.uid, None)
        self._is_shut = True
        self._admit()

    def _admit(self) -> None:
        while self._waiting and not self._is_shut and len(self._under_way) < self._allowed:
            self._let_through()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(ASK_AGAIN, self._ask_again)

    def _ask_again(self) -> None:
        self._let_through()
        self._admit()

    def _let_through(self) -> None:
        while self._waiting:
            pod, turn = self._waiting.popleft()
            if not turn.done():
                self._under_way[pod.uid] = pod.name
                turn.set_result(True)
                return


class Gates:
    """The queues of all budgets of a cluster, kept up to date by a watch over these."""

    def __init__(self, budgets: Reflector[PodDisruptionBudget], *, empty_matches_all: bool) -> None:
        """Queues before the budgets that are followed; see `covers` for an empty selector."""
        self._empty_matches_all = empty_matches_all
        self._budgets = budgets
        self._queues: dict[str, BudgetQueue] = {}
        self._queue_of_pod: dict[str, BudgetQueue] = {}
        self._changed = asyncio.Event()
        budgets.subscribe(self._on_change)

    def budgets_of(self, pod: Pod) -> tuple[PodDisruptionBudget, ...]:
        """The budgets that cover a pod now."""
        return tuple(
            budget
            for budget in self._budgets.objects.values()
            if budget.covers(pod, empty_matches_all=self._empty_matches_all)
        )

    def queue_of(self, pod: Pod) -> BudgetQueue | None:
        """The queue that a pod has to wait in; None if no single budget counts it."""
        budgets = self.budgets_of(pod)
        if len(budgets) != 1 or ignores_budgets(pod) or may_go_unhealthy(pod, budgets[0]):
            return None
        budget = budgets[0]
        if budget.key not in self._queues:
            self._queues[budget.key] = BudgetQueue(budget.status.disruptions_allowed)
        self._queue_of_pod[pod.uid] = self._queues[budget.key]
        return self._queues[budget.key]

    def withdraw(self, pod: Pod) -> None:
        """Take a pod out of the queue that it was sent to last; it was withdrawn from others."""
        queue = self._queue_of_pod.pop(pod.uid, None)
        if queue is not None:
            queue.withdraw(pod)

    def explain(self, pod: Pod) -> str:
        """Why a pod has to wait for its budget."""
        budgets = self.budgets_of(pod)
        verdict = judge_budgets(pod, budgets)
        if verdict is not None:
            return verdict.message
        names = ", ".join(budget.name for budget in budgets)
        return f"others of PodDisruptionBudget {names} go first"

    async def change(self, *, at_most: float) -> None:
        """Wait for a change of any budget, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._changed.wait()

    def _on_change(self, change: Change[PodDisruptionBudget]) -> None:
        is_gone = isinstance(change, Deleted)
        queue = self._queues.get(change.object.key)
        if queue is not None:
            queue.update(None if is_gone else change.object)
        if is_gone:
            self._queues.pop(change.object.key, None)
        self._changed.set()
        self._changed = asyncio.Event()
