"""What the user may ask of a drain and of a maintenance; names and meanings are kubectl's."""

from enum import StrEnum
from typing import Any

import msgspec

from shipkeeper.nodes.awaited import Awaited
from shipkeeper.nodes.health import HealthOptions
from shipkeeper.nodes.orders import Order
from shipkeeper.nodes.surge import SurgeOptions
from shipkeeper.nodes.tiers import PodOrder
from shipkeeper.nodes.windows import Windows


class AtDeadline(StrEnum):
    """What becomes of a drain that takes too long, and of the pods that are left then.

    Give up: the node is put back in service. Delete: they are deleted past their budgets, each with
    its own grace period. Kill: likewise, with a grace period of one second.
    """

    GIVE_UP = "give-up"
    DELETE = "delete"
    KILL = "kill"


class DrainOptions(msgspec.Struct, frozen=True, kw_only=True):
    """kubectl drain's flags, and what kubectl has not.

    grace_period in seconds, negative for each pod's own; timeout in seconds per node, 0 for none;
    skip_wait_for_delete_timeout in seconds, 0 for never. Not in kubectl: the order in which pods
    leave; whether those of DaemonSets leave after all others; a deadline in seconds from a drain's
    begin, 0 for none, and what then; surges for single replicas; with ignore_holds, nodes that
    another tool works on are drained all the same.
    """

    force: bool = False
    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    disable_eviction: bool = False
    grace_period: int = -1
    pod_selector: str = ""
    skip_wait_for_delete_timeout: int = 0
    timeout: float = 0.0
    pod_order: PodOrder = PodOrder.NONE
    daemon_sets_last: bool = False
    deadline: float = 0.0
    at_deadline: AtDeadline = AtDeadline.GIVE_UP
    surge: SurgeOptions = SurgeOptions()
    ignore_holds: bool = False

    @property
    def grace_period_seconds(self) -> int | None:
        """The grace period to send; None leaves each pod its own."""
        return self.grace_period if self.grace_period >= 0 else None


class SshAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How hosts are logged in to; their keys are always checked against the file known_hosts.

    `address` is the kind of node address that is used: internal, external, hostname or name.
    """

    user: str = ""
    port: int = 22
    identities: tuple[str, ...] = ()
    use_agent: bool = True
    jump: str = ""
    known_hosts: str = "~/.ssh/known_hosts"
    sudo: bool = False
    address: str = "internal"


class PodAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The privileged pod through which hosts are entered; times in seconds.

    After its lifetime, if it has one, its kubelet ends it, whatever became of who made it.
    """

    image: str = "busybox:stable"
    namespace: str = "kube-system"
    start_timeout: float = 120.0
    lifetime: float | None = None


class IfWorkFails(StrEnum):
    """What becomes of a drained node whose work failed."""

    CORDONED = "cordoned"
    RETURNED = "returned"


class VolumeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long, in seconds, volumes may take to leave a node and to be where they are used.

    With go_on, a node is worked on although volumes have not left it in time.
    """

    detach_timeout: float = 360.0
    attach_timeout: float = 360.0
    go_on: bool = False


class MaintenanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to drained nodes, to how many at once, and what must be seen afterwards.

    What is done is a command here (the hook), a wait in seconds, waiting for what somebody else
    does (`wait_for`, for at most wait_limit seconds), or with ssh or pod the `work` on the host
    itself: os-update, reboot, reboot-always, or the path of a script. time_limit is how many
    seconds a hook or the work on a host may take, 0 for any time; secret_env names variables of our
    own environment that it gets, and whose values are masked. ready_timeout in seconds is how long
    a node may take to come back. The caps are numbers or percentages of nodes; max_failed is how
    many nodes may fail before no other is begun, None for any number. With allow_pending, pods that
    fit nowhere else may be Pending while their node is away. Nodes go in `order` and are begun
    while one of the `windows` is open; between groups of them `health` must hold.
    """

    drain: DrainOptions
    command: str = ""
    wait: float = 0.0
    wait_for: tuple[Awaited, ...] = ()
    wait_limit: float = 3600.0
    work: str = ""
    ssh: SshAccess | None = None
    pod: PodAccess | None = None
    time_limit: int = 0
    secret_env: tuple[str, ...] = ()
    if_work_fails: IfWorkFails = IfWorkFails.CORDONED
    expect_reboot: bool = False
    ready_timeout: float = 600.0
    max_unavailable: str = "1"
    max_unavailable_per_zone: str = ""
    max_unavailable_per_pool: str = ""
    pool_label: str = ""
    max_failed: int | None = 0
    allow_pending: bool = False
    steer: bool = True
    order: Order = Order()
    windows: Windows = Windows()
    health: HealthOptions = HealthOptions()
    volumes: VolumeOptions = VolumeOptions()


def drain_options(options: DrainOptions | MaintenanceOptions) -> DrainOptions:
    """How nodes are drained."""
    return options.drain if isinstance(options, MaintenanceOptions) else options


def as_request(
    options: DrainOptions | MaintenanceOptions, nodes: tuple[str, ...]
) -> dict[str, Any]:
    """What was asked for, as the journal keeps it: enough to recognise and plan it again."""
    return {"nodes": list(nodes), "options": msgspec.to_builtins(options)}
