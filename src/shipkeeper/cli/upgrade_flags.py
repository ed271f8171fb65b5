"""Flags that the upgrade commands share."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.cli.backup_flags import RepositoryFlags
from shipkeeper.cli.departure_flags import DepartureFlags
from shipkeeper.cli.drain_flags import DrainFlags
from shipkeeper.cli.fleet_flags import FleetFlags
from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version
from shipkeeper.nodes.awaited import Aspect, Awaited
from shipkeeper.upgrade.backup import into
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.target import target_version

To = Annotated[str, Parameter(help="The target: a minor (v1.37, its latest patch) or a version.")]
Pinned = Annotated[
    bool,
    Parameter(help="Controllers reach the API server of their own host alone, as kubeadm has it."),
]
_UPGRADE = Group("Upgrade", sort_key=0)
_ANOTHER_KUBELET = (Awaited(aspect=Aspect.KUBELET),)


@Parameter(name="*", group=_UPGRADE)
@dataclass(frozen=True, kw_only=True)
class UpgradeFlags:
    """By which versions, and how hosts get their packages."""

    via: Annotated[
        tuple[str, ...],
        Parameter(help="The version for a minor on the way, if not its latest patch (v1.36.3)."),
    ] = ()
    pinned_controllers: Pinned = False
    packages: Annotated[
        Literal["apt", "dnf"] | None,
        Parameter(help="The hosts' package manager, if it cannot be told from their system."),
    ] = None
    no_snapshot: Annotated[
        bool, Parameter(help="Do not save etcd first: there is then no way back.")
    ] = False
    no_backup: Annotated[
        bool, Parameter(help="Do not back resources up first, whether --repo is named or not.")
    ] = False
    kubeadm_flag: Annotated[
        tuple[str, ...],
        Parameter(help="A further flag for `kubeadm upgrade` (--kubeadm-flag=--patches=/etc/p)."),
    ] = ()
    wait_only: Annotated[
        bool,
        Parameter(name="--wait", help="Somebody else upgrades: hold the nodes' waves, and watch."),
    ] = False

    def options(
        self,
        to: str,
        fleet: FleetFlags,
        drain: DrainFlags,
        departure: DepartureFlags,
        repository: RepositoryFlags,
    ) -> UpgradeOptions:
        """What was asked for; UsageError if it makes no sense."""
        target = target_version(to)
        if fleet.hook or fleet.wait or fleet.pod or fleet.wait_for:
            raise UsageError(
                "an upgrade does its own work on nodes",
                reason="WorkGiven",
                hint="leave out --hook, --wait, --wait-for and --pod",
            )
        nodes = departure.complete(drain, fleet.options(drain.options(), is_plan=True))
        if self.wait_only:
            nodes = msgspec.structs.replace(nodes, wait_for=_ANOTHER_KUBELET)
        else:
            nodes = msgspec.structs.replace(nodes, ssh=fleet.ssh_access())
        return UpgradeOptions(
            target=str(target),
            via=tuple(str(Version.parse(each)) for each in self.via),
            pinned=self.pinned_controllers,
            packages=self.packages or "",
            snapshot=not self.no_snapshot,
            backup=into(repository.place()) if repository.repo and not self.no_backup else None,
            goes_without_backup=self.no_backup,
            flags=self.kubeadm_flag,
            nodes=nodes,
        )


# Without flags.
AS_USUAL = UpgradeFlags()
