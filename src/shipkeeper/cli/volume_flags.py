"""Flags about volumes: which are saved, what is run around that, and the way to their hosts."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from shipkeeper.backup.volumes.finding import KUBELET, Finding
from shipkeeper.backup.volumes.hooks import HookFlags, OnError
from shipkeeper.backup.volumes.record import Wanted
from shipkeeper.backup.volumes.saving import OpenHosts, VolumeOptions
from shipkeeper.cli.ssh_flags import SshFlags
from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.selector import parse_selector
from shipkeeper.nodes.hosts import open_hosts
from shipkeeper.nodes.options import PodAccess, SshAccess

_VOLUMES = Group("Volumes", sort_key=1)
_HOSTS = Group("The way to the hosts of volumes", sort_key=1)


@Parameter(name="*", group=_VOLUMES)
@dataclass(frozen=True, kw_only=True)
class VolumeFlags:
    """Which volumes are saved, and what is run in their pods around that."""

    volumes: Annotated[
        Literal["none", "listed", "all"],
        Parameter(
            help="Save volumes, too: all that can be; or only list them with how they could be."
        ),
    ] = "listed"
    volume: Annotated[
        tuple[str, ...],
        Parameter(help="Save these: claim/NAMESPACE/NAME, hostpath/NODE/PATH, …; * fits any name."),
    ] = ()
    kubelet_dir: Annotated[str, Parameter(help="Where kubelets keep what they mount.")] = KUBELET
    snapshot_timeout: Annotated[
        str, Parameter(help="How long a snapshot may take to be ready.")
    ] = "10m"
    hook_pods: Annotated[
        str, Parameter(help="In which pods hooks run: a label selector (app=db).")
    ] = ""
    hook_before: Annotated[
        str, Parameter(help="A command for the shell in them, before their volumes are saved.")
    ] = ""
    hook_after: Annotated[str, Parameter(help="The same after that, whatever happened.")] = ""
    hook_container: Annotated[str, Parameter(help="In which container (the first).")] = ""
    hook_timeout: Annotated[str, Parameter(help="How long a hook may take.")] = "30s"
    hook_on_error: Annotated[
        Literal["fail", "continue"],
        Parameter(help="Whether volumes are saved though the hook before them failed."),
    ] = "fail"

    @property
    def saves(self) -> bool:
        """Whether files are read or snapshots made."""
        return self.volumes == "all" or bool(self.volume)

    def options(self) -> VolumeOptions:
        """The same, for the procedure; UsageError if it makes no sense."""
        if self.volume and self.volumes == "none":
            raise UsageError(
                "--volume names what --volumes none leaves out",
                reason="AmbiguousVolumes",
                hint="leave one of them out",
            )
        if (self.hook_before or self.hook_after) and not self.hook_pods:
            raise UsageError(
                "hooks need to know in which pods they run",
                reason="NoHookPods",
                hint="name them with --hook-pods app=db",
            )
        parse_selector(self.hook_pods)
        parse_duration(self.hook_timeout)
        return VolumeOptions(
            wanted=Wanted.ALL if self.saves else Wanted(self.volumes),
            finding=Finding(only=self.volume, kubelet=self.kubelet_dir),
            hooks=HookFlags(
                pods=self.hook_pods,
                before=self.hook_before,
                after=self.hook_after,
                container=self.hook_container,
                timeout=self.hook_timeout,
                on_error=OnError(self.hook_on_error),
            ),
            snapshot_timeout=parse_duration(self.snapshot_timeout).total_seconds(),
        )


LISTED = VolumeFlags()


@Parameter(name="*", group=_HOSTS)
@dataclass(frozen=True, kw_only=True)
class HostFlags(SshFlags):
    """How the hosts of nodes are reached; spelled as `maintain run` spells it."""

    hosts: Annotated[
        Literal["ssh", "pod"],
        Parameter(help="Over SSH, or through a privileged pod on each node."),
    ] = "ssh"
    pod_image: Annotated[str, Parameter(help="The pod's image, with sh and nsenter.")] = (
        "busybox:stable"
    )
    pod_namespace: Annotated[str, Parameter(help="A namespace that admits such pods.")] = (
        "kube-system"
    )
    pod_timeout: Annotated[str, Parameter(help="How long the pod may take to start.")] = "2m"
    pod_lifetime: Annotated[
        str, Parameter(help="After which its node ends the pod, should nobody else (6h).")
    ] = ""

    @property
    def opening(self) -> OpenHosts:
        """Opens the way, once there is a connection."""
        return partial(open_hosts, access=self._access())

    def _access(self) -> SshAccess | PodAccess:
        if self.hosts == "pod":
            return PodAccess(
                image=self.pod_image,
                namespace=self.pod_namespace,
                start_timeout=parse_duration(self.pod_timeout).total_seconds(),
                lifetime=self._lifetime(),
            )
        return self.ssh_access()

    def _lifetime(self) -> float | None:
        return parse_duration(self.pod_lifetime).total_seconds() if self.pod_lifetime else None


OVER_SSH = HostFlags()
