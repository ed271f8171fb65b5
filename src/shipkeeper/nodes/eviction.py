"""Moving one pod: evict it when its budget allows, through whatever the server answers."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

import msgspec

from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.errors import ApiError, UnreachableError
from shipkeeper.kube.eviction import (
    Accepted,
    BudgetUnsettled,
    Gone,
    ManyBudgets,
    NamespaceTerminating,
    Outcome,
    OverBudget,
    Replaced,
    Throttled,
    delete,
    evict,
)
from shipkeeper.kube.writer import Writer
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.gate import ASK_AGAIN, BudgetQueue, Gates
from shipkeeper.nodes.options import DrainOptions

# How often an answer that should pass by itself is tried again, and the longest pause between.
_BOUNDED_ATTEMPTS = 10
_LONGEST_PAUSE = 5.0
_TERMINATING_PAUSE = 5.0
SERVER_ERRORS = range(500, 600)

Tell = Callable[[Pod, str, str], None]


class EvictionError(ShipkeeperError):
    """A pod could not be evicted."""


class Evictor:
    """Evicts pods one by one, each on its own; a blocked one holds nothing that others need.

    `tell` is called with the pod, a CamelCase state, and what the server said.
    """

    def __init__(
        self, writer: Writer, gates: Gates, options: DrainOptions, version: str, in_flight: int = 64
    ) -> None:
        self._writer = writer
        self._gates = gates
        self._options = options
        self._version = version
        self._slots = asyncio.Semaphore(in_flight)

    @property
    def deletes(self) -> bool:
        """Whether pods are deleted past their budgets, for want of evictions or by request."""
        return self._options.disable_eviction or not self._version

    def budget_of(self, pod: Pod) -> str:
        """The key of the (first) budget that covers a pod; empty if none does."""
        return min((each.key for each in self._gates.budgets_of(pod)), default="")

    def withdraw(self, pod: Pod) -> None:
        """Take a pod out of its queue: it is gone, or going without an eviction."""
        self._gates.withdraw(pod)

    async def remove(self, current: Callable[[], Pod | None], tell: Tell) -> None:
        """Have a pod deleted; `current` gives it as it is now, None when it is gone.

        Returns when its deletion is under way or it is gone. Raises EvictionError or BlockedError.
        """
        attempt = 0
        while (pod := current()) is not None and not self._is_leaving(pod):
            queue = None if self.deletes else self._gates.queue_of(pod)
            if queue is not None:
                if not queue.is_open:
                    tell(pod, "Waiting", self._gates.explain(pod))
                if not await queue.enter(pod):
                    continue
            tell(pod, "Evicting", "")
            outcome = await self._ask(pod, queue)
            if isinstance(outcome, Accepted | Gone | Replaced):
                return
            if isinstance(outcome, ManyBudgets):
                raise self._many_budgets(pod, outcome)
            if isinstance(outcome, BudgetUnsettled | _Failure):
                attempt += 1
                _give_up_after(_BOUNDED_ATTEMPTS, attempt, pod, outcome.message)
            tell(pod, "Waiting", outcome.message)
            await self._pause(outcome, attempt, in_queue=queue is not None)

    def _is_leaving(self, pod: Pod) -> bool:
        """Whether its deletion is under way and due no later than is asked for now."""
        given = pod.metadata.deletion_grace_period_seconds
        asked = self._options.grace_period_seconds
        return pod.is_deleting and (asked is None or given is None or given <= asked)

    async def _ask(self, pod: Pod, queue: BudgetQueue | None) -> "Outcome | _Failure":
        """Send the request once; only an accepted one keeps its place in the budget's queue."""
        outcome: Outcome | _Failure | None = None
        try:
            async with queue.asking if queue is not None else nullcontext():
                if queue is not None:
                    queue.expect(pod)
                async with self._slots:
                    outcome = await self._send(pod)
                if queue is not None and isinstance(outcome, Accepted):
                    await queue.digested()
            return outcome
        finally:
            if queue is not None and isinstance(outcome, OverBudget):
                queue.turned_down(pod)
            elif queue is not None and not isinstance(outcome, Accepted):
                queue.withdraw(pod)

    async def _send(self, pod: Pod) -> "Outcome | _Failure":
        grace = self._options.grace_period_seconds
        try:
            if self.deletes:
                return await delete(self._writer, pod, grace_period_seconds=grace)
            return await evict(self._writer, pod, version=self._version, grace_period_seconds=grace)
        except UnreachableError as error:
            if error.reason != "Unreachable":
                raise
            return _Failure(error.message)
        except ApiError as error:
            if error.status.code not in SERVER_ERRORS:
                raise _refused(pod, error) from error
            return _Failure(error.message)

    async def _pause(self, outcome: "Outcome | _Failure", attempt: int, *, in_queue: bool) -> None:
        match outcome:
            case OverBudget(retry_after=delay) if delay is not None:
                await self._gates.change(at_most=delay.total_seconds())
            case OverBudget() if not in_queue:
                await self._gates.change(at_most=ASK_AGAIN)
            case Throttled(retry_after=delay):
                await asyncio.sleep(delay.total_seconds())
            case NamespaceTerminating():
                await asyncio.sleep(_TERMINATING_PAUSE)
            case BudgetUnsettled() | _Failure():
                await asyncio.sleep(min(0.1 * 2**attempt, _LONGEST_PAUSE))
            case _:
                pass

    def _many_budgets(self, pod: Pod, outcome: ManyBudgets) -> BlockedError:
        names = ", ".join(sorted(budget.name for budget in self._gates.budgets_of(pod)))
        return BlockedError(
            f"{outcome.message} ({names} in namespace {pod.namespace})",
            reason="ManyBudgets",
            hint="change their selectors so that one budget covers the pod",
        )


class _Failure(msgspec.Struct, frozen=True):
    """The server failed, or was not there: nothing is known of the pod."""

    message: str


def _give_up_after(limit: int, attempt: int, pod: Pod, message: str) -> None:
    if attempt >= limit:
        raise EvictionError(
            f'error when evicting pods/"{pod.name}" -n "{pod.namespace}": {message} '
            f"(tried {attempt} times)",
            reason="EvictionFailed",
            hint="see the API server's health, then run the same command again",
        )


def _refused(pod: Pod, error: ApiError) -> EvictionError:
    return EvictionError(
        f'error when evicting pods/"{pod.name}" -n "{pod.namespace}": {error.message}',
        reason=error.reason,
        hint=error.hint,
    )
