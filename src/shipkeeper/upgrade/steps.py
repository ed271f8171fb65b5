"""The steps of an upgrade that a maintenance has not: work on hosts, and what must be seen then."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shipkeeper.backup.discovery import discover
from shipkeeper.engine.action import Action, SelfEvident, StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import Node
from shipkeeper.model.version import Version
from shipkeeper.nodes.comeback import wait_for_node
from shipkeeper.nodes.fleet.steps import Update
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.steps import missing_node, node_of, step_verdict
from shipkeeper.nodes.work import Before, Finished, WorkError, Works
from shipkeeper.upgrade.backup import Backup
from shipkeeper.upgrade.component import CONTROLLERS, Name
from shipkeeper.upgrade.hosts import Hosts
from shipkeeper.upgrade.observe import observe_versions
from shipkeeper.upgrade.options import options_of
from shipkeeper.upgrade.snapshot import Snapshot
from shipkeeper.upgrade.versions import ClusterVersions, api_server_range, violations

_LOOK_EVERY = 2.0  # seconds
_SETTLE_SECONDS = 300.0
_TIMES_READY = 4


class OnHost:
    """Commands on one host, whose own last lines see to their effect."""

    def __init__(self, reader: Reader, hosts: Hosts) -> None:
        self._reader = reader
        self._hosts = hosts

    async def check(self, step: Step) -> Verdict | None:
        """The node must be there."""
        return await missing_node(self._reader, step)

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Run them."""
        await self._hosts.run(step.id, await self._reader.get(NODES, node_of(step)))

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """Their exit code said it."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """What was done to a host stays; BlockedError while it is still being done."""
        node = await self._reader.get(NODES, node_of(step))
        if await self._hosts.goes_on(step.id, node):
            raise BlockedError(
                f"the commands of {step.id} still run on its host",
                reason="WorkGoesOn",
                hint="wait for their end, or end them on the host; then abort again",
            )
        return False


class Kubeadm(OnHost):
    """The package of kubeadm on a host of the control plane."""

    def __init__(self, reader: Reader, hosts: Hosts, versions: Mapping[str, Version]) -> None:
        super().__init__(reader, hosts)
        self._versions = versions

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Take it back, unless kubeadm has upgraded the host; BlockedError while it works."""
        await super().undo(step, record)
        seen = await observe_versions(self._reader)
        own = [each.version for each in seen.of(Name.API_SERVER) if each.node == node_of(step)]
        if self._versions[step.id] in own:
            return False
        return await self._hosts.take_back(step.id, await self._reader.get(NODES, node_of(step)))


class ControlPlane(OnHost):
    """kubeadm upgrades the control plane of one host."""

    def __init__(self, reader: Reader, hosts: Hosts, versions: Mapping[str, Version]) -> None:
        super().__init__(reader, hosts)
        self._versions = versions

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """See its static pods at the version, by what the API server shows of them."""
        wanted, node = self._versions[step.id], node_of(step)

        def is_there(versions: ClusterVersions) -> bool:
            own = [
                each
                for each in versions.of(Name.API_SERVER, *CONTROLLERS)
                if each.node == node and each.pod
            ]
            return bool(own) and all(each.version == wanted for each in own)

        seen = await wait_for_versions(self._reader, is_there, _SETTLE_SECONDS)
        if is_there(seen):
            return None
        return step_verdict(step, "OldVersion", f"not every static pod of it is {wanted}")


class Verify(SelfEvident):
    """After a hop: the versions that are really there, the policy, and every kind served."""

    def __init__(self, reader: Reader, hop: Mapping[str, Version]) -> None:
        self._reader = reader
        self._hop = hop

    async def perform(self, step: Step, record: StepRecord) -> None:
        """There is nothing to do but to look."""

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """See that nothing of the control plane is older, and that discovery is whole."""
        wanted = self._hop[step.id]
        await self._come_to_rest()

        def is_there(versions: ClusterVersions) -> bool:
            own = versions.of(Name.API_SERVER, *CONTROLLERS)
            return all(each.version == wanted for each in own if each.pod)

        seen = await wait_for_versions(self._reader, is_there, _SETTLE_SECONDS)
        if not is_there(seen):
            return step_verdict(step, "OldVersion", f"not everything of it is {wanted}")
        broken = [each for each in violations(seen, shared=False) if each.component != Name.KUBECTL]
        if broken:
            return step_verdict(step, broken[0].rule, broken[0].message, Effect.BLOCK)
        unreadable = (await discover(self._reader.connection)).unreadable
        if unreadable:
            names = ", ".join(each.what for each in unreadable[:5])
            return step_verdict(step, "ApiIncomplete", f"these do not answer any more: {names}")
        return None

    async def _come_to_rest(self) -> None:
        """Return when the API server was ready several times in a row, or at the end of a time."""
        clock = asyncio.get_running_loop().time
        deadline, in_a_row = clock() + _SETTLE_SECONDS, 0
        while in_a_row < _TIMES_READY and clock() < deadline:
            try:
                await self._reader.connection.send("GET", "/readyz")
                in_a_row += 1
            except ShipkeeperError:
                in_a_row = 0
            await asyncio.sleep(_LOOK_EVERY)


class Await(SelfEvident):
    """Wait for somebody else to upgrade the control plane."""

    def __init__(self, reader: Reader, hop: Mapping[str, Version], limit: float) -> None:
        self._reader = reader
        self._hop = hop
        self._limit = limit

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Look again and again until the API server is of the hop's minor; WorkError if it is not.

        The time counts from the first attempt on.
        """
        if "at" not in record.detail:
            await record.write(Phase.BEFORE, at=datetime.now(UTC).isoformat())
        began = datetime.fromisoformat(record.detail["at"])
        passed = max((datetime.now(UTC) - began).total_seconds(), 0.0)
        left = max(self._limit - passed, _LOOK_EVERY) if self._limit else None
        try:
            async with asyncio.timeout(left):
                await self._until(self._hop[step.id].minor)
        except TimeoutError as error:
            took = format_duration(timedelta(seconds=self._limit))
            raise WorkError(
                f"after {took} the API server is not of 1.{self._hop[step.id].minor} yet",
                reason="NotUpgraded",
                hint="find out why its provider did not upgrade it; then begin anew",
            ) from error

    async def _until(self, minor: int) -> None:
        # Somebody else's work on a control plane gives no event to wait for.
        while not await self._is_there(minor):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)

    async def _is_there(self, minor: int) -> bool:
        if (await self._reader.version()).minor < minor:
            return False
        # Behind a load balancer it was one of several that answered.
        oldest, _ = api_server_range(await observe_versions(self._reader))
        return oldest >= minor


class EveryKubelet(SelfEvident):
    """See that no node is left old, where somebody else upgrades them."""

    def __init__(self, reader: Reader, hop: Mapping[str, Version], limit: float) -> None:
        self._reader = reader
        self._hop = hop
        self._limit = limit

    async def perform(self, step: Step, record: StepRecord) -> None:
        """There is nothing to do but to look."""

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """See every kubelet of the minor, or a newer one; that may take as long as a node may."""
        minor = self._hop[step.id].minor

        def old(versions: ClusterVersions) -> list[str]:
            kubelets = versions.of(Name.KUBELET)
            return [each.node for each in kubelets if each.version and each.version.minor < minor]

        seen = await wait_for_versions(self._reader, lambda seen: not old(seen), self._limit)
        if not (left := old(seen)):
            return None
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        message = f"the kubelets of {', '.join(left[:5])}{more} are older than 1.{minor}"
        return step_verdict(step, "OldKubelets", message)


class UpgradeWorks(Works):
    """The work on a drained node: its packages, or waiting for the provider to replace them."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        options: MaintenanceOptions,
        directory: Path,
        hosts: Hosts,
        versions: Mapping[str, Version],
    ) -> None:
        super().__init__(reader, writer, options, directory)
        self._hosts = hosts
        self._versions = versions
        self.step_of: dict[str, str] = {}
        """The step that is done on each node now."""

    async def do(
        self, node: Node, before: Before, say: Callable[[str], None], *, is_resumed: bool
    ) -> Finished:
        """Run the packages' commands, or wait."""
        step = self.step_of[node.name]
        if not self._hosts.has(step):
            seen = _kubelet_of(node)
            # Its provider may have been quicker than our first look at the drained node.
            if seen is not None and seen.minor >= self._versions[step].minor:
                return Finished()
            return await super().do(node, before, say, is_resumed=is_resumed)
        await self._hosts.run(step, node)
        return Finished()

    async def goes_on(self, node: Node) -> bool:
        """Whether the commands of the node's step run at this moment."""
        step = self.step_of.get(node.name, "")
        return self._hosts.has(step) and await self._hosts.goes_on(step, node)


class Kubelet(Update):
    """Bring the kubelet of a drained node to its version."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        options: MaintenanceOptions,
        directory: Path,
        tell: Sink,
        hosts: Hosts,
        versions: Mapping[str, Version],
    ) -> None:
        super().__init__(reader, writer, options, directory, tell)
        self._versions = versions
        self._hosts = hosts
        self._works = self._own = UpgradeWorks(reader, writer, options, directory, hosts, versions)

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Do the work of this step; a node may have several in one plan."""
        self._own.step_of[node_of(step)] = step.id
        await super().perform(step, record)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """A node that is not back gets its old kubelet; BlockedError while it is worked on.

        BlockedError also when it does not come back with that: no pods must come to it then.
        """
        name, wanted = node_of(step), self._versions[step.id]
        self._own.step_of[name] = step.id
        await super().undo(step, record)
        node = await self._node(step)
        if node is None or (node.is_ready and _kubelet_of(node) == wanted):
            return False
        if not self._hosts.has(step.id) or not await self._hosts.take_back(step.id, node):
            return False
        try:
            await wait_for_node(
                self._reader,
                name,
                lambda node: node.is_ready and _kubelet_of(node) != wanted,
                self._options.ready_timeout,
            )
        except TimeoutError as error:
            raise BlockedError(
                "it has its old kubelet again, and does not come back, so it stays cordoned",
                reason="NotBack",
                hint="see what stops it (journalctl -u kubelet on the host), then abort again",
            ) from error
        return True

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """See the node tell of the kubelet's new version."""
        wanted = self._versions[step.id]
        try:
            await wait_for_node(
                self._reader,
                node_of(step),
                lambda node: self._is_upgraded(step, node),
                self._options.ready_timeout,
            )
        except TimeoutError:
            return step_verdict(step, "OldKubelet", f"its kubelet does not come back as {wanted}")
        return None

    def _is_upgraded(self, step: Step, node: Node) -> bool:
        """Whether its kubelet is what it was to be; of a minor, a provider chooses the patch."""
        seen, wanted = _kubelet_of(node), self._versions[step.id]
        if self._hosts.has(step.id):
            return seen == wanted
        return seen is not None and seen.minor == wanted.minor


def _kubelet_of(node: Node) -> Version | None:
    text = node.status.node_info.kubelet_version
    return Version.parse(text) if text else None


async def wait_for_versions(
    reader: Reader, holds: Callable[[ClusterVersions], bool], seconds: float
) -> ClusterVersions:
    """What is seen as soon as something holds, or at the end of the time."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        seen = await observe_versions(reader)
        if holds(seen) or clock() > deadline:
            return seen
        await asyncio.sleep(_LOOK_EVERY)


def upgrade_actions(
    reader: Reader, writer: Writer, plan: Plan, directory: Path, tell: Sink
) -> Mapping[str, Action]:
    """What the steps of `plan_upgrade` are done by, but for those of a maintenance."""
    options = options_of(plan.request)
    hosts = Hosts(plan, options.nodes, directory, tell)
    hops = _versions_of(plan)
    return {
        "host": OnHost(reader, hosts),
        "snapshot": Snapshot(reader, hosts, directory, tell),
        "backup": Backup(reader, options.backup, tell),
        "kubeadm": Kubeadm(reader, hosts, hops),
        "control-plane": ControlPlane(reader, hosts, hops),
        "verify": Verify(reader, hops),
        "await": Await(reader, hops, options.nodes.wait_limit),
        "kubelets": EveryKubelet(reader, hops, options.nodes.ready_timeout),
        "update": Kubelet(
            reader,
            writer,
            options.nodes,
            directory,
            tell,
            hosts,
            hops,
        ),
    }


def _versions_of(plan: Plan) -> dict[str, Version]:
    """The version that each step of a plan brings its target to."""
    found: Any = plan.outlook["versions"]
    return {step: Version.parse(text) for step, text in found.items()}
