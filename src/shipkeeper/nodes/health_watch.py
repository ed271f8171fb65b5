"""Watching the health of a cluster between waves, until it has held for a while."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from typing import Any, Self

import msgspec

from shipkeeper.engine.journal import Entry, Phase
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import UsageError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import (
    DAEMON_SETS,
    DEPLOYMENTS,
    NODES,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from shipkeeper.metrics.prometheus import MetricsError, Prometheus
from shipkeeper.nodes.health import (
    Health,
    HealthOptions,
    MetricCheck,
    health_of,
    judge_health,
    judge_samples,
    out_of_sight,
    unanswered,
)

# While something cannot be followed no change tells when it can be again.
_LOOK_AGAIN = 1.0  # seconds
# What the entry is about that keeps the health: no step has this id.
_HEALTH = "health"
_WORKLOADS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS)

TellVerdicts = Callable[[tuple[Verdict, ...]], None]


class HealthWatch:
    """Follows nodes and workloads for the length of its context; costs nothing while it waits."""

    def __init__(self, reader: Reader, options: HealthOptions) -> None:
        if options.checks and options.prometheus is None:
            raise UsageError(
                "queries and alerts need a metrics server to ask",
                reason="NoMetricsServer",
                hint="name it with --prometheus http://prometheus.monitoring:9090",
            )
        self._options = options
        self._nodes = Reflector(reader, NODES)
        self._workloads = {each.kind: Reflector(reader, each) for each in _WORKLOADS}
        self._prometheus = Prometheus(options.prometheus) if options.prometheus else None
        self._metrics: tuple[Verdict, ...] = ()
        self._asked_at = -float("inf")
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """List everything once, and begin to follow it."""
        async with AsyncExitStack() as stack:
            for each in (self._nodes, *self._workloads.values()):
                await stack.enter_async_context(each)
                each.subscribe(self._on_change)
            if self._prometheus is not None:
                await stack.enter_async_context(self._prometheus)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        """Stop following."""
        await self._stack.__aexit__(*failure)

    async def health(self) -> Health:
        """The health now; what the metrics server says may be `metrics_every` seconds old."""
        return health_of(
            self._nodes.objects.values(),
            {kind: found.objects.values() for kind, found in self._workloads.items()},
            (*self._out_of_sight(), *await self._judge_metrics()),
        )

    async def hold(
        self, before: Health, done: Collection[str], tell: TellVerdicts
    ) -> tuple[Verdict, ...]:
        """Wait until nothing was worse than before for the whole soak time.

        Returns nothing then, or what is still worse when the timeout has passed. `tell` hears of
        every change of what is worse. Whatever cannot be followed counts as worse.
        """
        loop, told = asyncio.get_running_loop(), ()
        deadline = loop.time() + self._options.timeout
        held_since: float | None = None
        self._asked_at = -float("inf")
        while True:
            self._changed.clear()
            verdicts = judge_health(before, await self.health(), done)
            if verdicts != told:
                tell(verdicts)
                told = verdicts
            now = loop.time()
            if verdicts:
                held_since, until = None, deadline
            else:
                held_since = now if held_since is None else held_since
                until = held_since + self._options.soak
            if now >= until:
                return verdicts
            await self._change(at_most=until - now)

    async def _change(self, *, at_most: float) -> None:
        """Wait for a change of any object, or until it is time to look again anyway."""
        if self._options.checks:
            due = self._asked_at + self._options.metrics_every
            at_most = min(at_most, due - asyncio.get_running_loop().time())
        if self._out_of_sight():
            at_most = min(at_most, _LOOK_AGAIN)
        try:
            async with asyncio.timeout(at_most):
                await self._changed.wait()
        except TimeoutError:
            return

    def _out_of_sight(self) -> tuple[Verdict, ...]:
        followed = {NODES.kind: self._nodes, **self._workloads}
        return tuple(
            out_of_sight(kind, each.last_error.message)
            for kind, each in followed.items()
            if each.last_error is not None
        )

    async def _judge_metrics(self) -> tuple[Verdict, ...]:
        now = asyncio.get_running_loop().time()
        if self._prometheus is None or now < self._asked_at + self._options.metrics_every:
            return self._metrics
        found = await asyncio.gather(
            *(self._ask(self._prometheus, check) for check in self._options.checks)
        )
        self._metrics = tuple(verdict for verdict in found if verdict is not None)
        self._asked_at = now
        return self._metrics

    async def _ask(self, prometheus: Prometheus, check: MetricCheck) -> Verdict | None:
        try:
            return judge_samples(check, await prometheus.query(check.query))
        except MetricsError as error:
            return unanswered(check, error.message, error.hint)

    def _on_change(self, change: object) -> None:
        self._changed.set()


async def health_before(watch: HealthWatch, journal: Ledger, run: str) -> Health:
    """The health before a run began: as its first attempt found it, and noted for later ones.

    Taken anew after a kill in mid-run it would call what the run itself took away broken before.
    """
    for entry in journal.entries(run, step=_HEALTH):
        return msgspec.convert(entry.detail[_HEALTH], Health)
    found = await watch.health()
    noted = msgspec.json.decode(msgspec.json.encode(found))
    await journal.write(Entry(run=run, step=_HEALTH, phase=Phase.AFTER, detail={_HEALTH: noted}))
    return found
