"""The operator's process: it stands by, leads, and hands over; several may run at once."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine.election import leading
from shipkeeper.engine.exposition import CONTENT_TYPE
from shipkeeper.engine.progress import Event, Note
from shipkeeper.engine.tenure import (
    HistoryLostError,
    LeaseKey,
    LeaseTimes,
    LockLostError,
    Tenure,
)
from shipkeeper.heap import keep_giving_back
from shipkeeper.kube.backoff import backoff
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ApiError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.metrics.server import serving
from shipkeeper.operator.api.kind import Kind
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.operator.api.upgrades import CLUSTER_UPGRADE
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.backups.controllers import backup_controllers
from shipkeeper.operator.clock import in_words, watch_clock
from shipkeeper.operator.controller import Controller, Reconciler
from shipkeeper.operator.maintenance.reconcile import MaintenanceReconciler
from shipkeeper.operator.maintenance.windows import WindowReconciler, plans_with
from shipkeeper.operator.measures import Measures
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.reports.reconcile import LOOKS, ReportReconciler
from shipkeeper.operator.runs import Runs
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.upgrades.reconcile import UpgradeReconciler
from shipkeeper.traces.process import tracing

LEASE = "shipkeeper-operator"
# Who stands by leads 9 seconds after the last sign of life of a leader that was killed.
TIMES = LeaseTimes(duration=timedelta(seconds=9), renew_every=timedelta(seconds=3))
_LONGEST_PAUSE = timedelta(seconds=10)


class OperatorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one process of the operator runs; `namespace` is where its journals and its Lease are.

    `node` is the node that it runs on, which its own maintenances do last, and `image` that of its
    pod, of which Jobs are made; empty if unknown.
    `metrics` is HOST:PORT, empty to serve none.
    """

    connection: ConnectionOptions
    namespace: str
    directory: Path
    node: str = ""
    image: str = ""
    metrics: str = ""
    times: LeaseTimes = TIMES


async def operate(options: OperatorOptions, say: Callable[[str], None]) -> None:
    """Stand by and lead until cancelled; then hand over in order."""
    measures = Measures()
    tracing.report_to(say)
    # Now, so that what is wrong with it is told before the first run.
    tracing.tracer()
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        if options.metrics:
            url = await stack.enter_async_context(
                serving(options.metrics, measures.expose, CONTENT_TYPE)
            )
            say(f"metrics are at {url}")
        connection = await stack.enter_async_context(connect(options.connection))
        # Whoever leads no more is to let go of what they led with, too.
        giving_back = asyncio.create_task(keep_giving_back())
        stack.callback(giving_back.cancel)
        failures, follows_setback = 0, False
        while True:
            try:
                await _serve(
                    connection, options, identity, measures, say, follows_setback=follows_setback
                )
            except LockLostError as error:
                say(f"leads no more: {error.message}")
                failures, follows_setback = 0, isinstance(error, HistoryLostError)
            except (ApiError, UnreachableError) as error:
                failures += 1
                say(f"cannot serve: {error.message}")
                await asyncio.sleep(backoff(failures, longest=_LONGEST_PAUSE).total_seconds())


async def _serve(
    connection: Connection,
    options: OperatorOptions,
    identity: str,
    measures: Measures,
    say: Callable[[str], None],
    *,
    follows_setback: bool,
) -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Note):
            say(event.message)

    key = LeaseKey(namespace=options.namespace, name=LEASE)
    async with leading(
        Reader(connection), Writer(connection), key, identity, tell=tell, times=options.times
    ) as tenure:
        tenure.follows_setback |= follows_setback
        say(f"{identity} leads")
        measures.lead()
        try:
            await _lead(_scene(connection, options, tenure, measures, say))
        finally:
            measures.stand_by()
            say("hands over")


def _scene(
    connection: Connection,
    options: OperatorOptions,
    tenure: Tenure,
    measures: Measures,
    say: Callable[[str], None],
) -> Scene:
    return Scene(
        connection=connection,
        footing=tenure,
        follows_setback=tenure.follows_setback,
        namespace=options.namespace,
        node=options.node,
        image=options.image,
        directory=options.directory,
        times=options.times,
        measures=measures,
        say=say,
    )


async def _lead(scene: Scene) -> None:
    """Reconcile everything until cancelled; ShipkeeperError when that cannot go on."""
    runs = Runs(scene)
    async with AsyncExitStack() as stack:
        maintenances = await stack.enter_async_context(_controller(scene, NODE_MAINTENANCE))
        windows = await stack.enter_async_context(_controller(scene, MAINTENANCE_WINDOW))
        upgrades = await stack.enter_async_context(_controller(scene, CLUSTER_UPGRADE))

        def window_changed(name: str) -> None:
            for each in (maintenances, upgrades):
                each.look_at_all(lambda found: plans_with(found, name))

        work: list[tuple[Controller, Reconciler]] = [
            (
                maintenances,
                MaintenanceReconciler(
                    scene,
                    maintenances.queue,
                    runs,
                    maintenances.following.objects,
                    windows.following.objects,
                ),
            ),
            (windows, WindowReconciler(scene, window_changed)),
            (
                upgrades,
                UpgradeReconciler(
                    scene,
                    upgrades.queue,
                    runs,
                    upgrades.following.objects,
                    windows.following.objects,
                ),
            ),
        ]
        for kind, look_at in LOOKS:
            reports = await stack.enter_async_context(_controller(scene, kind))
            work.append((reports, ReportReconciler(scene, reports.queue, kind, look_at)))
        work += await backup_controllers(
            scene, lambda kind: stack.enter_async_context(_controller(scene, kind))
        )

        def jumped(jump: timedelta) -> None:
            scene.say(f"{in_words(jump)}: everything that waits for a time is looked at again")
            for controller, _ in work:
                controller.look_at_all()

        async with asyncio.TaskGroup() as group:
            group.create_task(watch_clock(jumped))
            for controller, reconciler in work:
                group.create_task(controller.work(reconciler))


@asynccontextmanager
async def _controller(scene: Scene, kind: Kind[Any]) -> AsyncGenerator[Controller]:
    async with Controller(
        kind, scene.reader, WorkQueue(), scene.measures, scene.complain
    ) as controller:
        yield controller
