"""How hollow nodes stay alive: leases, status reports, and the end of a reboot."""

import asyncio
import logging
import time
import zlib

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import LEASES, NODES
from shipkeeper.kube.writer import STRATEGIC_PATCH, Writer
from shipkeeper.sandbox.hollow.fleet import Fleet, Member
from shipkeeper.sandbox.hollow.node import (
    LEASE_NAMESPACE,
    boot_report,
    lease_manifest,
    lease_renewal,
    ready_report,
)
from shipkeeper.sandbox.hollow.timetable import Timetable
from shipkeeper.sandbox.hollow.values import Boot

# Long enough for anyone who polls every 100 ms to see that a rebooted node was NotReady.
_NOT_READY_SECONDS = 0.3
_RETRY_SECONDS = 2.0
# A thousand kubelets renew a hundred leases a second, a third of a core of their API server's.
_LEASES_PER_SECOND = 50
_AT_ONCE = 8

_log = logging.getLogger(__name__)


class Heartbeats:
    """Renews the lease and reports the status of every node that is up."""

    def __init__(
        self, fleet: Fleet, writer: Writer, *, lease_seconds: float, report_seconds: float
    ) -> None:
        self._fleet = fleet
        self._writer = writer
        self._lease_seconds = lease_seconds
        self._report_seconds = report_seconds
        self._report_at: dict[str, float] = {}
        self._timetable = Timetable(self._attend, at_once=_AT_ONCE)
        fleet.subscribe(self._react)

    async def run(self) -> None:
        """Beat until cancelled."""
        await self._timetable.run()

    def _react(self, name: str, before: Member | None, now: Member | None) -> None:
        self._timetable.cancel(name)
        if now is None:
            self._report_at.pop(name, None)
        elif before is None:
            self._report_at[name] = _clock() + self._report_seconds * _share(name)
            self._plan(name, self._lease_seconds * _share(name))
        else:
            self._plan(name, _NOT_READY_SECONDS if before.behaviour.boot else 0.0)

    def _plan(self, name: str, pause: float) -> None:
        """Attend to a node after a pause, or when it is up again if it is rebooting."""
        member = self._fleet.get(name)
        if member is None or name in self._fleet.departed:
            return
        boot = member.behaviour.boot
        if boot is not None:
            pause = max(pause, boot.at - time.time())
        if boot is not None or member.behaviour.heartbeats:
            self._timetable.at(name, _clock() + pause)

    def _period(self) -> float:
        """Seconds between two beats of a node: a large fleet takes up to twice as long."""
        crowded = len(self._fleet) / _LEASES_PER_SECOND
        return min(max(self._lease_seconds, crowded), 2 * self._lease_seconds)

    async def _attend(self, name: str) -> None:
        member = self._fleet.get(name)
        if member is None:
            return
        boot = member.behaviour.boot
        pause = self._period()
        try:
            await (self._beat(member) if boot is None else self._come_up(member, boot))
        except ShipkeeperError as error:
            _log.info("node %s: %s", name, error)
            pause = min(pause, _RETRY_SECONDS)
        self._plan(name, pause)

    async def _beat(self, member: Member) -> None:
        await self._renew_lease(member)
        is_due = _clock() >= self._report_at.get(member.name, 0.0)
        if is_due or not member.node.is_ready:
            await self._report(member)

    async def _report(self, member: Member) -> None:
        node = await self._writer.patch(
            NODES,
            member.name,
            ready_report(member.node),
            subresource="status",
            content_type=STRATEGIC_PATCH,
        )
        self._report_at[member.name] = _clock() + self._report_seconds
        self._fleet.refresh(node)

    async def _renew_lease(self, member: Member) -> None:
        try:
            await self._writer.patch(
                LEASES, member.name, lease_renewal(), namespace=LEASE_NAMESPACE
            )
        except NotFoundError:
            await self._create_lease(member)

    async def _create_lease(self, member: Member) -> None:
        lease = lease_manifest(member.node, duration_seconds=max(1, round(4 * self._lease_seconds)))
        if member.name not in self._fleet.departed:
            await self._writer.create(LEASES, lease, namespace=LEASE_NAMESPACE)

    async def _come_up(self, member: Member, boot: Boot) -> None:
        await self._writer.patch(
            NODES,
            member.name,
            boot_report(member.node, boot),
            subresource="status",
            content_type=STRATEGIC_PATCH,
        )
        await self._fleet.amend(member.name, boot=None, heartbeats=True)


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _share(name: str) -> float:
    """A node's own point of every period, so that a thousand nodes do not report at once."""
    return zlib.crc32(name.encode()) / 2**32
