"""What comes before anything is changed: hosts looked at, resources backed up, etcd saved; pure."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from shipkeeper.engine.plan import Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.upgrade import commands
from shipkeeper.upgrade.component import Name
from shipkeeper.upgrade.draft import CLUSTER, Draft
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.versions import ClusterVersions


class First:
    """The first steps of an upgrade; `members` are the control plane's nodes."""

    def __init__(
        self,
        draft: Draft,
        versions: ClusterVersions,
        options: UpgradeOptions,
        members: Sequence[str],
        manager: Callable[[str], str],
    ) -> None:
        """Prepare them; `manager` tells the package manager of a node."""
        self._draft = draft
        self._versions = versions
        self._options = options
        self._members = members
        self._manager = manager

    def steps(self, *, has_hop: bool) -> Iterator[Step]:
        """Look at every host of the control plane, then save what a hop may harm."""
        last: tuple[str, ...] = ()
        for step in (*self._preflights(), *self._saves(has_hop=has_hop)):
            found = msgspec.structs.replace(step, after=last)
            last = (found.id,)
            yield found

    def warnings(self, *, has_hop: bool) -> Iterator[Verdict]:
        """What is not saved, though nobody said that it need not be."""
        if not has_hop:
            return
        if self._options.backup is None and not self._options.goes_without_backup:
            yield _warning(
                "NoBackup",
                "resources are not backed up first, as no repository is named",
                "name one with --repo, or say --no-backup",
            )
        if self._works_on_hosts and self._options.snapshot and not self._has_etcd:
            yield _warning(
                "NoSnapshot",
                "etcd is not saved first, as no member of it is seen in kube-system",
                "save it yourself with: shipkeeper etcd save; then say --no-snapshot",
            )

    @property
    def _works_on_hosts(self) -> bool:
        return not self._versions.is_managed and self._options.nodes.ssh is not None

    @property
    def _has_etcd(self) -> bool:
        return bool(self._versions.of(Name.ETCD))

    def _preflights(self) -> Iterator[Step]:
        if not self._works_on_hosts:
            return
        for name in self._members:
            yield self._draft.on_host(
                name,
                "preflight",
                "its tools, disk and kubelet are fit for an upgrade",
                commands.preflight(self._manager(name)),
                after=(),
            )

    def _saves(self, *, has_hop: bool) -> Iterator[Step]:
        if not has_hop:
            return
        if self._options.backup is not None:
            yield Step(
                id=f"{CLUSTER}/backup",
                action="backup",
                target=CLUSTER,
                effect=f"every resource is in {self._options.backup.url}, read back and checked",
            )
        if self._works_on_hosts and self._options.snapshot and self._has_etcd:
            yield self._draft.on_host(
                self._members[0],
                "snapshot",
                "a snapshot of etcd is on this machine, whole and checked by its sha256",
                commands.etcd_client(),
                action="snapshot",
                after=(),
            )


def _warning(reason: str, message: str, remedy: str) -> Verdict:
    return Verdict(
        target=CLUSTER, effect=Effect.WARN, reason=reason, message=message, remedy=remedy
    )
