"""The commands of an upgrade on its hosts, and what they say when they fail."""

import re
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.errors import HostError
from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.record import Record, State
from shipkeeper.hosts.remote import RemoteCommand, RemoteOptions
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.model.node import Node
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.work import address_of, login_of
from shipkeeper.upgrade.commands import Lines, as_script
from shipkeeper.upgrade.outlook import commands_of

if TYPE_CHECKING:
    from shipkeeper.hosts.ssh_session import SshSession

# How our own look at what does not start, kubeadm's checks, apt and dnf, and kubeadm itself tell
# what they end with.
_SIGNS = tuple(
    re.compile(sign, re.MULTILINE)
    for sign in (r"^\S+ does not stay up: ", r"\[ERROR \w+\]", r"^E: |^Error: ", r"^error: ")
)
_TROUBLE = re.compile(r"error|failed|no such file|cannot|no space left", re.IGNORECASE)


class HostWorkError(ShipkeeperError):
    """Commands on a host did not all succeed."""


class Hosts:
    """Runs a plan's commands on its hosts; each is started once, however often we are killed."""

    def __init__(self, plan: Plan, access: MaintenanceOptions, directory: Path, tell: Sink) -> None:
        self._outlook = plan.outlook
        self._access = access
        self._directory = directory
        self._tell = tell
        self._handshakes = Handshakes()

    def has(self, step: str) -> bool:
        """Whether a step runs anything on a host."""
        return step in self._outlook["commands"]

    async def run(self, step: str, node: Node) -> None:
        """Run the commands of a step on its node's host; HostWorkError if one of them fails."""
        await _run(node, self._command(step, node, commands_of(self._outlook, step).lines))

    async def take_back(self, step: str, node: Node) -> bool:
        """Run what takes the commands of a step back; False if there is nothing that does.

        What was taken back is not taken back again; an attempt that failed is followed by another.
        """
        lines = commands_of(self._outlook, step).undo
        if not lines:
            return False
        attempts = (f"-undo-{number}" if number > 1 else "-undo" for number in count(1))
        commands = (self._command(step, node, lines, record=each) for each in attempts)
        command = next(commands)
        while _has_failed(await command.look()):
            command = next(commands)
        await _run(node, command)
        return True

    def session(self, node: Node) -> "AbstractAsyncContextManager[SshSession]":
        """Open a way into a node's host; each way to fail is a HostError, or HostWorkError."""
        return self._host(node).session()

    async def goes_on(self, step: str, node: Node) -> bool:
        """Whether the commands of a step are known to run at this moment, whoever began them."""
        try:
            command = self._command(step, node, commands_of(self._outlook, step).lines)
            return (await command.look()).state is State.RUNNING
        except (HostError, HostWorkError):
            return False

    def _command(self, step: str, node: Node, lines: Lines, record: str = "") -> RemoteCommand:
        name = step.replace("/", "-") + record
        minutes = commands_of(self._outlook, step).minutes
        return RemoteCommand(
            self._host(node),
            f"{self._directory.name}/{name}",
            as_script(lines),
            self._directory / name,
            options=RemoteOptions(
                time_limit=minutes * 60, reconnect_limit=self._access.ready_timeout
            ),
            show=lambda line: self._tell(Note(f"{node.name}: {line}")),
            trouble=lambda error: self._tell(Note(f"{node.name}: {error.message}; trying again")),
        )

    def _host(self, node: Node) -> SshHost:
        access = self._access.ssh
        if access is None:
            raise HostWorkError(
                f"{node.name} needs work on its host, and no way to it was given",
                reason="NoWayIn",
                hint="say how to log in: --ssh-user, --ssh-key, --sudo",
            )
        return SshHost(address_of(node, access.address), login_of(access), self._handshakes)


def _has_failed(record: Record) -> bool:
    is_cut_off = record.state in (State.LOST, State.REBOOTED) or record.timed_out
    return is_cut_off or (record.state is State.ENDED and record.exit_code != 0)


async def _run(node: Node, command: RemoteCommand) -> None:
    result = await command.run()
    if result.exit_code:
        # Some commands say more than the tail holds.
        said = command.output.read_text(errors="replace")
        raise HostWorkError(
            f"{node.name}: {_explain(said, result.exit_code)}",
            reason="CommandFailed",
            hint=f"its output is in {command.output}; mend it and run the same command again: "
            "what is done already is seen and left out",
        )


def _explain(output: str, exit_code: int | None) -> str:
    """What failed and why; a script that ends itself has said so in its own words."""
    said, _, ending = output.rpartition("\n+ exit ")
    if said and ending.strip().isdecimal():
        return said.splitlines()[-1]
    return f"{_failing(output)} ended with exit code {exit_code}: {_complaint(output)}"


def _failing(output: str) -> str:
    """The last command that the shell showed before it ended."""
    shown = [line.removeprefix("+ ") for line in output.splitlines() if line.startswith("+ ")]
    return repr(shown[-1]) if shown else "its script"


def _complaint(output: str) -> str:
    """What a command said was wrong, in its plainest line after its own; else its last line."""
    said = [line.strip() for line in output.rpartition("\n+ ")[2].splitlines()[1:]]
    for sign in _SIGNS:
        if found := [line for line in said if sign.search(line)]:
            return found[0]
    # What tools say in passing comes before what they end with.
    troubles = [line for line in said if _TROUBLE.search(line)]
    return (troubles or said or ["it printed nothing"])[-1]
