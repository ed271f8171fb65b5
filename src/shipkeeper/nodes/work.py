"""The work on a drained node: a hook here, a script on its host, or waiting for somebody."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.hosts.command import LocalCommand
from shipkeeper.hosts.errors import HostError
from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.options import SshOptions
from shipkeeper.hosts.presets import Script, os_update, reboot, script
from shipkeeper.hosts.record import State
from shipkeeper.hosts.remote import RemoteCommand, RemoteOptions
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.duration import format_duration
from shipkeeper.model.node import Node, NodeSystemInfo
from shipkeeper.nodes.awaited import missing
from shipkeeper.nodes.comeback import wait_for_node
from shipkeeper.nodes.options import MaintenanceOptions, PodAccess, SshAccess
from shipkeeper.nodes.pod_host import PodHost, remove_pods, try_pod

_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds
_ADDRESSES = {"internal": "InternalIP", "external": "ExternalIP", "hostname": "Hostname"}


class WorkError(ShipkeeperError):
    """The work on a node did not come to its end, or not to a good one."""


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it was when its work began, and when that was."""

    info: NodeSystemInfo
    at: datetime


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """Work that ended well; `reboots` if the host goes down, or went, because of it."""

    reboots: bool = False


class Works:
    """Does the work of a run on one node after the other; `directory` keeps what it prints."""

    def __init__(
        self, reader: Reader, writer: Writer, options: MaintenanceOptions, directory: Path
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._options = options
        self._directory = directory
        self._handshakes = Handshakes()

    async def do(
        self, node: Node, before: Before, say: Callable[[str], None], *, is_resumed: bool
    ) -> Finished:
        """Do the work, or follow what an earlier attempt began; it is never begun twice.

        `is_resumed` tells that there was one, maybe of another process: its host may be away now.

        WorkError, or the error of the way to the host, tells why it is not done.
        """
        options = self._options
        host = self._host(node)
        if host is not None:
            command = self._remote(node, host, say, is_resumed=is_resumed)
            return await self._on_host(host, command)
        if options.wait_for:
            await self._wait_for_change(node.name, before)
        elif options.command:
            await self._here(node, say)
        else:
            await asyncio.sleep(options.wait)
        return Finished(reboots=options.expect_reboot)

    async def goes_on(self, node: Node) -> bool:
        """Whether the work is known to run at this moment, whoever began it."""
        host = self._host(node)
        if host is None:
            return bool(self._options.command) and self._command(node).is_running
        command = self._remote(node, host)
        try:
            return command.is_open and (await command.look()).state is State.RUNNING
        except HostError:
            return False

    async def clear_away(self, node: str) -> None:
        """Remove what the way to the node's host needed there."""
        if self._options.pod is not None:
            await self._remove_pod(node, self._options.pod)

    async def _remove_pod(self, node: str, access: PodAccess) -> None:
        for pause in _PAUSES:
            with suppress(UnreachableError):
                await remove_pods(self._reader, self._writer, self._directory.name, access, node)
                return
            # A control plane that was just rebooted comes and goes.
            await asyncio.sleep(pause)
        await remove_pods(self._reader, self._writer, self._directory.name, access, node)

    async def _wait_for_change(self, node: str, before: Before) -> None:
        awaited, limit = self._options.wait_for, self._options.wait_limit
        passed = max((datetime.now(UTC) - before.at).total_seconds(), 0.0)
        try:
            await wait_for_node(
                self._reader,
                node,
                lambda now: not missing(awaited, now.status.node_info, before.info),
                max(limit - passed, 1.0),
            )
        except TimeoutError as error:
            raise await self._unchanged(node, before) from error

    async def _unchanged(self, node: str, before: Before) -> WorkError:
        now = await self._reader.get(NODES, node)
        left = missing(self._options.wait_for, now.status.node_info, before.info)
        took = format_duration(timedelta(seconds=self._options.wait_limit))
        return WorkError(
            f"after {took} {node} still waits for {'; '.join(left)}",
            reason="NotChanged",
            hint="find out why nobody did it, or give it more time with --wait-limit",
        )

    def _host(self, node: Node) -> Host | None:
        """The way to a node's host; None if the work is not done there."""
        options = self._options
        if options.pod is not None:
            run = self._directory.name
            return PodHost(self._reader, self._writer, node.name, run, options.pod)
        if options.ssh is not None:
            address = address_of(node, options.ssh.address)
            return SshHost(address, login_of(options.ssh), self._handshakes)
        return None

    def _command(self, node: Node, show: Callable[[str], None] = lambda line: None) -> LocalCommand:
        return LocalCommand(
            self._directory / node.name,
            self._options.command,
            self._environment(node),
            secrets=secrets_of(self._options),
            time_limit=self._options.time_limit,
            show=show,
        )

    def _remote(
        self,
        node: Node,
        host: Host,
        say: Callable[[str], None] = lambda line: None,
        *,
        is_resumed: bool = False,
    ) -> RemoteCommand:
        work = script_of(self._options)
        return RemoteCommand(
            host,
            f"{self._directory.name}/{node.name}",
            work.text,
            self._directory / node.name,
            environment=self._environment(node),
            secrets=secrets_of(self._options),
            expects_reboot=work.expects_reboot,
            is_resumed=is_resumed,
            options=RemoteOptions(
                time_limit=self._options.time_limit or None,
                reconnect_limit=self._options.ready_timeout,
            ),
            show=say,
            trouble=lambda error: say(f"{error.message}; trying again"),
        )

    async def _here(self, node: Node, say: Callable[[str], None]) -> None:
        command = self._command(node, say)
        result = await command.run()
        if result.exit_code != 0:
            last = result.tail.splitlines()[-1:] or ["it printed nothing"]
            raise WorkError(
                f"the command {result.ending}: {last[0]}",
                reason="CommandFailed",
                hint=f"its output is in {command.output}",
            )

    async def _on_host(self, host: Host, command: RemoteCommand) -> Finished:
        work = script_of(self._options)
        result = await command.run()
        outcome = work.outcome(result.exit_code)
        if not outcome.ok:
            last = result.tail.splitlines()[-1:]
            raise WorkError(
                f"{host.name}: {outcome.message}" + (f": {last[0]}" if last else ""),
                reason=outcome.reason,
                hint=f"{outcome.hint}; its output is in {command.output}",
            )
        return Finished(reboots=outcome.reboots or self._options.expect_reboot)

    def _environment(self, node: Node) -> dict[str, str]:
        """What every kind of work is told."""
        kind = self._options.ssh.address if self._options.ssh else "internal"
        return {
            "NODE_NAME": node.name,
            "NODE_ADDRESS": address_of(node, kind),
            "RUN": self._directory.name,
        }


def script_of(options: MaintenanceOptions) -> Script:
    """What runs on each host; UsageError if it is a script that cannot be read."""
    match options.work:
        case "os-update":
            return os_update()
        case "reboot":
            return reboot()
        case "reboot-always":
            return reboot(always=True)
        case path:
            return script(Path(path), expects_reboot=options.expect_reboot)


async def require_work(connection: Connection, options: MaintenanceOptions, node: str) -> None:
    """Return if nothing that can be known beforehand forbids the work; writes nothing.

    UsageError for a script or a secret that is not there, PodRefusedError if the cluster does not
    admit the pods that hosts are to be entered through.
    """
    secrets_of(options)
    if options.work:
        script_of(options)
    if options.pod is not None:
        await try_pod(Writer(connection, dry_run=True), node, options.pod)


def secrets_of(options: MaintenanceOptions) -> Mapping[str, str]:
    """The values of the variables that the work gets as secrets; UsageError if one is not set."""
    for name in options.secret_env:
        if name not in os.environ:
            raise UsageError(
                f"${name} is not set, but --secret-env passes it on",
                reason="SecretMissing",
                hint="set it; it is read anew each time, as it is kept nowhere",
            )
    return {name: os.environ[name] for name in options.secret_env}


def address_of(node: Node, kind: str) -> str:
    """An address of a node, of one kind; its name if it tells none of that kind."""
    return node.address(_ADDRESSES.get(kind, "")) or node.name


def login_of(access: SshAccess) -> SshOptions:
    """How the hosts are logged in to."""
    return SshOptions(
        user=access.user,
        port=access.port,
        identities=tuple(map(Path, access.identities)),
        use_agent=access.use_agent,
        jump=access.jump,
        known_hosts=Path(access.known_hosts),
        sudo=access.sudo,
    )
