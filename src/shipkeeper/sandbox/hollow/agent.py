"""The agent: hollow nodes against one API server, and what they are told to do."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator

import msgspec

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.hollow.fleet import Fleet
from shipkeeper.sandbox.hollow.heartbeat import Heartbeats
from shipkeeper.sandbox.hollow.kubelets import Kubelets
from shipkeeper.sandbox.hollow.lifecycle import HANG_DELETION_ANNOTATION
from shipkeeper.sandbox.hollow.membership import Membership
from shipkeeper.sandbox.hollow.options import AgentOptions
from shipkeeper.sandbox.hollow.pod import BOUND_PODS, IS_BOUND
from shipkeeper.sandbox.hollow.protocol import (
    AddNodes,
    Amend,
    HangPod,
    ListNodes,
    Reboot,
    RemoveNodes,
    Reply,
    Request,
)
from shipkeeper.sandbox.hollow.server import listen
from shipkeeper.sandbox.hollow.values import Boot, HollowError, NodeReport


async def run(options: AgentOptions) -> None:
    """Serve the cluster and the socket until cancelled."""
    async with connect(ConnectionOptions(kubeconfig=options.kubeconfig)) as connection:
        fleet = Fleet(Writer(connection))
        heartbeats = Heartbeats(
            fleet,
            Writer(connection),
            lease_seconds=options.lease_seconds,
            report_seconds=options.report_seconds,
        )
        kubelets = Kubelets(fleet, Writer(connection))
        async with _follow(connection, fleet, kubelets) as members, asyncio.TaskGroup() as group:
            group.create_task(heartbeats.run())
            group.create_task(kubelets.run())
            await listen(options.socket, Agent(fleet, kubelets, members, connection).obey)


@contextlib.asynccontextmanager
async def _follow(
    connection: Connection, fleet: Fleet, kubelets: Kubelets
) -> AsyncGenerator[Membership]:
    reader = Reader(connection)
    nodes = Reflector(reader, NODES)
    nodes.subscribe(fleet.notice)
    pods = Reflector(reader, BOUND_PODS, field_selector=IS_BOUND)
    pods.subscribe(kubelets.notice)
    async with nodes, pods:
        yield Membership(
            fleet, kubelets, nodes=nodes, pods=pods, reader=reader, writer=Writer(connection)
        )


class Agent:
    """Does what the requests say."""

    def __init__(
        self, fleet: Fleet, kubelets: Kubelets, membership: Membership, connection: Connection
    ) -> None:
        self._fleet = fleet
        self._kubelets = kubelets
        self._membership = membership
        self._writer = Writer(connection)

    async def obey(self, request: Request) -> Reply:
        """Carry out a request; ShipkeeperError when that cannot be done."""
        match request:
            case AddNodes(group=group):
                return Reply(names=await self._membership.add(group))
            case RemoveNodes(names=names):
                await self._membership.remove(names)
            case Amend():
                await self._amend(request)
            case HangPod():
                await self._hang(request)
            case Reboot():
                await self._reboot(request)
            case ListNodes():
                return Reply(nodes=self._reports())
        return Reply()

    async def _amend(self, request: Amend) -> None:
        wishes = msgspec.structs.asdict(request)
        node = wishes.pop("node")
        wanted = {field: value for field, value in wishes.items() if value is not None}
        await self._fleet.amend(node, **wanted)

    async def _hang(self, request: HangPod) -> None:
        mark = "true" if request.hangs else None
        patch = {"metadata": {"annotations": {HANG_DELETION_ANNOTATION: mark}}}
        await self._writer.patch(BOUND_PODS, request.name, patch, namespace=request.namespace)

    async def _reboot(self, request: Reboot) -> None:
        if self._fleet.member(request.node).behaviour.boot is not None:
            raise HollowError(
                f"node {request.node} is rebooting already",
                reason="AlreadyRebooting",
                hint="wait until it is Ready",
            )
        boot = Boot(
            at=time.time() + request.down_for,
            boot_id=str(uuid.uuid4()),
            kernel_version=request.kernel_version,
            os_image=request.os_image,
            mark_not_ready=request.mark_not_ready,
        )
        await self._fleet.amend(request.node, boot=boot)

    def _reports(self) -> tuple[NodeReport, ...]:
        reports = (
            NodeReport(
                name=member.name,
                boot_id=member.boot_id,
                kernel_version=member.node.status.node_info.kernel_version,
                os_image=member.node.status.node_info.os_image,
                pods=len(self._kubelets.pods_on(member.name)),
                behaviour=member.behaviour,
            )
            for member in self._fleet
        )
        return tuple(sorted(reports, key=lambda report: report.name))
