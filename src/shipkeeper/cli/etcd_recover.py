"""`shipkeeper etcd recover`: a kubeadm control plane brought back from a snapshot, over SSH."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from shipkeeper.cli.execution import open_journal, see_through
from shipkeeper.cli.output import show
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.history import read_history
from shipkeeper.errors import BlockedError, ShipkeeperError, UsageError
from shipkeeper.etcd.recover import procedure
from shipkeeper.etcd.recover.report import recovered_report, recovery_report
from shipkeeper.hosts.handshakes import Handshakes
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.options import Login, SshOptions
from shipkeeper.hosts.ssh import SshHost

_SSH = Group("Hosts", sort_key=1)


@Parameter(name="*", group=_SSH)
@dataclass(frozen=True, kw_only=True)
class HostFlags:
    """Which hosts, and how they are logged in to."""

    host: Annotated[
        tuple[str, ...], Parameter(help="A control-plane host, as user@host:port; name each.")
    ] = ()
    ssh_key: Annotated[tuple[str, ...], Parameter(help="A private key's file.")] = ()
    ssh_jump: Annotated[str, Parameter(help="The host to go through: user@host:port.")] = ""
    ssh_known_hosts: Annotated[
        str, Parameter(help="The file that host keys are checked against.")
    ] = "~/.ssh/known_hosts"
    sudo: Annotated[bool, Parameter(help="Become root on the host with sudo.")] = False

    def hosts(self) -> dict[str, Host]:
        """The hosts by their addresses; UsageError if none is named."""
        if not self.host:
            raise UsageError(
                "no control-plane host is named",
                reason="NoHost",
                hint="name each with --host root@10.0.0.1: no API server can be asked for them",
            )
        handshakes = Handshakes()
        logins = [Login.parse(each) for each in self.host]
        return {login.address: self._host(login, handshakes) for login in logins}

    def _host(self, login: Login, handshakes: Handshakes) -> Host:
        options = SshOptions(
            user=login.user,
            port=login.port,
            identities=tuple(map(Path, self.ssh_key)),
            jump=self.ssh_jump,
            known_hosts=Path(self.ssh_known_hosts),
            sudo=self.sudo,
        )
        return SshHost(login.address, options, handshakes)


NOWHERE = HostFlags()


async def recover(
    file: Path,
    /,
    *,
    skip_hash_check: Annotated[
        bool, Parameter(help="Take a file without a sha256, as from a data directory.")
    ] = False,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    reached: HostFlags = NOWHERE,
) -> None:
    """Bring a kubeadm control plane back from one snapshot, on every control-plane host.

    Up to the point of no return, which the plan names, a step that fails lets the old etcd run
    again. A run that was interrupted goes on with the same command.
    """
    hosts, journal = reached.hosts(), open_journal()
    planned = procedure.unfinished(journal, hosts) or await procedure.prepare(
        hosts, file, skip_hash_check=skip_hash_check
    )
    if dry_run == "client":
        show(recovery_report(planned, datetime.now(UTC)), output)
    if planned.blockers:
        first = planned.blockers[0]
        raise BlockedError(first.message, reason=first.reason, hint=first.remedy)
    if dry_run == "client":
        return
    result = await see_through(
        lambda tell: procedure.execute(hosts, journal, planned, tell), in_words=False
    )
    run = journal.run(result.run)
    show(recovered_report(read_history(run, journal.entries(run.id))), output)
    for failure in result.failures:
        raise ShipkeeperError(failure.message, reason=failure.reason, hint=failure.remedy)
