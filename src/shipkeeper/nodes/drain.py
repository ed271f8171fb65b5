"""Draining one node: every pod that must go is moved, until none is left.

The node's pods are watched, not polled: newcomers (bound while the cordon raced with the
scheduler) are seen and moved too, and a pod counts as gone when it, by its UID, is gone.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from shipkeeper.engine.action import StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Item, Step
from shipkeeper.engine.progress import ItemChanged, Sink
from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.changes import Added, Change, Deleted
from shipkeeper.kube.errors import ApiError, UnreachableError
from shipkeeper.kube.reader import Listing, Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import DAEMON_SETS, PODS
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import UNSCHEDULABLE_TAINT
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.deadline import Deadline
from shipkeeper.nodes.departure import Departure, overdue
from shipkeeper.nodes.eviction import SERVER_ERRORS, Evictor
from shipkeeper.nodes.filters import daemon_set_of, is_long_deleted
from shipkeeper.nodes.kubelet import Kubelet
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.plan import PodAction
from shipkeeper.nodes.still_cordoned import require_cordoned
from shipkeeper.nodes.tiers import rank_of

_LOOK_AGAIN = 1.0  # seconds between looks at a pod that does not end
_OFTEN = 3  # pods of one controller that came to the node since the drain began
_FOR_LONG = 10.0  # seconds that they keep coming: a scheduler may know of the cordon late


# What becomes of each of these pods.
Judge = Callable[[tuple[Pod, ...], ClusterState, DrainOptions, datetime], tuple[Item, ...]]


class DrainError(ShipkeeperError):
    """A node could not be drained; some pods may have left."""


class NodeDrain:
    """One drain of one node; `state` is what was observed of it alone, `judge` says who leaves."""

    def __init__(
        self,
        step: Step,
        reader: Reader,
        evictor: Evictor,
        state: ClusterState,
        options: DrainOptions,
        judge: Judge,
        deadline: Deadline,
        record: StepRecord,
        tell: Sink,
    ) -> None:
        node = step.target.removeprefix("node/")
        self._step = step.id
        self._node = node
        self._reader = reader
        self._evictor = evictor
        self._state = state
        self._options = options
        self._judge = judge
        self._deadline = deadline
        self._record = record
        self._tell = tell
        self._on_node = f"spec.nodeName={node}"
        self._pods = Reflector(
            reader,
            PODS,
            field_selector=self._on_node,
            label_selector=options.pod_selector,
            known=Listing(list(state.pods), state.pods_revision),
        )
        self._began = datetime.now(UTC)
        self._departures: dict[str, Departure] = {}
        self._failures: dict[str, ShipkeeperError] = {}
        self._at_start: set[str] = set()
        self._highest_rank = float("inf")
        self._arrivals: Counter[str] = Counter()
        self._first_arrivals: dict[str, float] = {}
        self._stirred = asyncio.Event()
        self._kubelet = Kubelet(reader, node)

    async def run(self) -> None:
        """Move every pod that must go. Raises BlockedError or DrainError naming what is left."""
        async with self._pods:
            self._pods.subscribe(self._on_change)
            self._at_start = {pod.uid for pod in self._pods.objects.values()}
            try:
                async with asyncio.timeout(self._time_limit()):
                    await self._until_empty()
            except TimeoutError as error:
                raise self._timed_out() from error
        if self._failures:
            raise self._failed()

    def _time_limit(self) -> float | None:
        """The seconds after which the drain ends, whoever is left."""
        limits = [self._options.timeout or None]
        if self._deadline.is_the_end:
            limits.append(self._deadline.seconds_left)
        return min((each for each in limits if each is not None), default=None)

    async def _until_empty(self) -> None:
        moving: dict[asyncio.Task[None], Departure] = {}
        waiting: list[Departure] = []
        look: asyncio.Task[bool] | None = None
        try:
            while True:
                self._stirred.clear()
                waiting += await self._newcomers()
                moving = {task: each for task, each in moving.items() if not task.done()}
                begun, waiting = self._next_tier(moving.values(), waiting)
                for each in begun:
                    moving[asyncio.create_task(self._move(each))] = each
                if begun:
                    look = _given_up(look)
                # While the last pods end there is time for the list: the watch, which has yet to
                # tell of their end, tells of whoever came after the list before that.
                if look is None and not waiting and all(e.is_ending for e in moving.values()):
                    look = asyncio.create_task(self._is_empty())
                if look is not None and not moving:
                    if await look:
                        return
                    look = None
                await self._stirred.wait()
        finally:
            _given_up(look)
            for task in moving:
                task.cancel()
            await asyncio.gather(*moving, return_exceptions=True)

    def _next_tier(
        self, moving: Iterable[Departure], waiting: list[Departure]
    ) -> tuple[list[Departure], list[Departure]]:
        """Those of the waiting that may leave now, and those that have to wait on.

        A tier begins when nobody of a lower one is left. Who waits for a budget holds it back: what
        leaves last may be what he needs until then. It never begins once a pod of a lower one could
        not be moved at all: the node stays in service, and so does what keeps it there.
        """
        waiting = [each for each in waiting if each.rank <= self._highest_rank]
        lowest = min((each.rank for each in (*moving, *waiting)), default=0)
        held = [each for each in waiting if each.rank > lowest]
        for each in held:
            self._say(each.pod, "Held", "pods of a lower tier leave first")
        return [each for each in waiting if each.rank == lowest], held

    async def _newcomers(self) -> list[Departure]:
        """The pods that must go and that nobody has moved yet; refused ones become failures."""
        unseen = [pod for pod in self._pods.objects.values() if pod.uid not in self._departures]
        if any(self._is_of_unknown_daemon_set(pod) for pod in unseen):
            listing = await self._reader.list(DAEMON_SETS)
            known = frozenset(each.key for each in listing.items)
            self._state = msgspec.structs.replace(self._state, daemon_sets=known)
        items = self._judge(tuple(unseen), self._state, self._options, datetime.now(UTC))
        leaving: list[Departure] = []
        for pod, item in zip(unseen, items, strict=True):
            departure = Departure(pod, rank_of(pod, self._options.pod_order))
            self._departures[pod.uid] = departure
            if item.action == PodAction.REFUSE:
                self._fail(departure, _refused(item))
            elif item.action != PodAction.SKIP and not self._comes_back(departure):
                departure.is_awaited = True
                leaving.append(departure)
        if any(each.pod.uid not in self._at_start for each in leaving):
            await require_cordoned(self._reader, self._node)
        return leaving

    def _fail(self, departure: Departure, error: ShipkeeperError) -> None:
        self._failures[departure.pod.key] = error
        self._highest_rank = min(self._highest_rank, departure.rank)

    def _is_of_unknown_daemon_set(self, pod: Pod) -> bool:
        owner = daemon_set_of(pod)
        if owner is None:
            return False
        return f"{pod.namespace}/{owner.name}" not in self._state.daemon_sets

    def _comes_back(self, departure: Departure) -> bool:
        """Whether a pod's controller starts it here again and again, past the cordon."""
        pod = departure.pod
        owner, created = pod.metadata.controller, pod.metadata.creation_timestamp
        if pod.uid in self._at_start or owner is None or created is None:
            return False
        # Creation times are whole seconds.
        if created < self._began - timedelta(seconds=1):
            return False
        self._arrivals[owner.uid] += 1
        began = self._first_arrivals.setdefault(owner.uid, time.monotonic())
        if self._arrivals[owner.uid] < _OFTEN or time.monotonic() < began + _FOR_LONG:
            return False
        self._fail(departure, _coming_back(pod, owner.kind, owner.name))
        return True

    async def _is_empty(self) -> bool:
        """Whether a fresh list of the node's pods holds none that must go and was not seen."""
        listing = await self._reader.list(
            PODS, field_selector=self._on_node, label_selector=self._options.pod_selector
        )
        return all(pod.uid in self._departures for pod in listing.items)

    async def _move(self, departure: Departure) -> None:
        pod = departure.pod
        try:
            if pod.uid not in self._record.items:
                claims = {"claims": list(pod.claims)} if pod.claims else {}
                await self._record.write(Phase.BEFORE, item=pod.uid, pod=pod.key, **claims)
            await self._evict(pod)
            departure.is_ending = True
            self._stirred.set()
            await self._until_gone(departure)
            await self._record.write(Phase.AFTER, item=pod.uid, pod=pod.key)
            departure.is_awaited = False
            self._say(pod, "Gone", "")
        except ShipkeeperError as error:
            self._fail(departure, error)
            self._say(departure.pod, "Failed", error.message)
        finally:
            self._stirred.set()

    async def _evict(self, pod: Pod) -> None:
        """Have a pod evicted; what a deadline cuts short is left to `_until_gone`."""
        patience = self._deadline.seconds_left if self._deadline.forces else None
        try:
            async with asyncio.timeout(patience):
                await self._evictor.remove(partial(self._current, pod), self._say)
        except TimeoutError:
            return

    async def _until_gone(self, departure: Departure) -> None:
        """Wait for the end of a pod; when it does not come, find out why, or bring it about."""
        while not departure.gone.is_set():
            if self._deadline.is_forcing:
                await self._force(departure)
            try:
                async with asyncio.timeout(_LOOK_AGAIN):
                    await departure.gone.wait()
            except TimeoutError:
                pod = departure.pod
                limit = self._options.skip_wait_for_delete_timeout
                if is_long_deleted(pod, limit, datetime.now(UTC)):
                    self._say(pod, "Skipped", f"its deletion was due more than {limit}s ago")
                    return
                await self._kubelet.require_reachable()
                if why := self._kubelet.awaits(pod):
                    self._say(pod, "Terminating", why)

    async def _force(self, departure: Departure) -> None:
        """End a pod past its budget, as was chosen for a drain that takes too long."""
        pod = departure.pod
        if departure.last_call is not None:
            if time.monotonic() > departure.last_call:
                raise self._does_not_end(pod)
            return
        if self._deadline.is_left_alone(pod):
            raise _without_controller(pod)
        self._kubelet.doubt()
        await self._kubelet.require_reachable()
        then = self._options.at_deadline
        self._say(pod, "Forced", f"the drain takes longer than {self._deadline.words}: {then}")
        await self._record.write(Phase.BEFORE, item=pod.uid, pod=pod.key, forced=then)
        try:
            departure.last_call = await self._deadline.force(pod)
        except (UnreachableError, ApiError) as error:
            if isinstance(error, ApiError) and error.status.code not in SERVER_ERRORS:
                raise
            self._say(pod, "Waiting", error.message)

    def _current(self, pod: Pod) -> Pod | None:
        """The pod as it is now; None if it, or the pod that it was, is gone."""
        current = self._pods.objects.get(pod.key)
        return current if current is not None and current.uid == pod.uid else None

    def _on_change(self, change: Change[Pod]) -> None:
        pod = change.object
        departure = self._departures.get(pod.uid)
        if isinstance(change, Added):
            self._stirred.set()
        elif departure is not None:
            departure.pod = pod
            if isinstance(change, Deleted):
                departure.gone.set()
        if isinstance(change, Deleted) or pod.is_deleting:
            self._evictor.withdraw(pod)

    def _say(self, pod: Pod, state: str, message: str) -> None:
        departure = self._departures[pod.uid]
        if (state, message) != (departure.state, departure.message):
            departure.state, departure.message = state, message
            budget = self._evictor.budget_of(pod) if state == "Waiting" else ""
            self._tell(ItemChanged(self._step, pod.key, state, message, budget))

    def _timed_out(self) -> DrainError:
        if self._deadline.is_the_end and self._deadline.is_over:
            return DrainError(
                f"the drain takes longer than {self._deadline.words}; {self._pending()}",
                reason="DrainDeadline",
                hint="what moved stays moved; look at what each pod waits for, then run again",
            )
        limit = format_duration(timedelta(seconds=self._options.timeout))
        return DrainError(
            f"global timeout reached: {limit}; {self._pending()}",
            reason="GlobalTimeout",
            hint="look at what each pod waits for, then drain again with a longer --timeout",
        )

    def _does_not_end(self, pod: Pod) -> DrainError:
        held = overdue(pod, datetime.now(UTC)) or "its kubelet does not end it"
        return DrainError(
            f"pod {pod.key} was deleted past its budget and is still there: {held}",
            reason="DoesNotEnd",
            hint=f"look at the kubelet of {self._node}, and at who has to take its finalizers away",
        )

    def _failed(self) -> ShipkeeperError:
        """One error for all pods that could not be moved; blocked if nothing but policy failed."""
        failures = sorted(self._failures.items())
        kind = BlockedError if all(isinstance(e, BlockedError) for _, e in failures) else DrainError
        reasons = sorted({f"{key}: {error.message}" for key, error in failures})
        first = failures[0][1]
        return kind("; ".join(reasons), reason=first.reason, hint=first.hint)

    def _pending(self) -> str:
        awaited = [each for each in self._departures.values() if each.is_awaited]
        names = ", ".join(sorted(each.description for each in awaited))
        return f'There are pending pods in node "{self._node}" when an error occurred: {names}'


def _given_up(look: asyncio.Task[bool] | None) -> None:
    if look is not None:
        look.cancel()


def _refused(item: Item) -> BlockedError:
    verdict = next(each for each in item.verdicts if each.blocks)
    return BlockedError(verdict.message, reason=verdict.reason, hint=verdict.remedy)


def _without_controller(pod: Pod) -> BlockedError:
    return BlockedError(
        f"pod {pod.key} is not deleted past its budget: no controller would bring it back",
        reason="Unreplicated",
        hint="delete it by hand, or give such pods up with --force",
    )


def _coming_back(pod: Pod, kind: str, name: str) -> BlockedError:
    bears = pod.toleration_for(UNSCHEDULABLE_TAINT, "NoSchedule") is not None
    why = "because it tolerates unschedulable nodes" if bears else "past the scheduler"
    return BlockedError(
        f"{kind} {name} starts its pods on this cordoned node again and again, {why}",
        reason="ComesBack",
        hint=f"take the toleration (or the node's name) out of {kind} {name}, or scale it down",
    )
