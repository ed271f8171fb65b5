"""A maintenance as the page asks for it: the options of a plan, and the same as a command line."""

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.awaited import parse_awaited
from shipkeeper.nodes.fleet.caps import parse_cap
from shipkeeper.nodes.health import HealthOptions
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, PodAccess, SshAccess
from shipkeeper.nodes.orders import Order, parse_canary
from shipkeeper.nodes.tiers import PodOrder
from shipkeeper.nodes.windows import parse_windows

_MOST_NODES = 10_000
_PRESETS = frozenset({"os-update", "reboot", "reboot-always"})
# What would be done on the console's own machine, or with its own keys.
_ONLY_LOCAL = ("hook", "ssh")


class MaintenanceForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of `shipkeeper maintain` that the page offers, in its spelling.

    `update_takes` is for a rehearsal alone. Raises UsageError where the CLI would.
    """

    nodes: tuple[str, ...]
    hook: str = ""
    wait: str = ""
    wait_for: tuple[str, ...] = ()
    wait_limit: str = "1h"
    ssh: str = ""
    pod: str = ""
    expect_reboot: bool = False
    max_unavailable: str = "1"
    max_unavailable_per_zone: str = ""
    on_failure: str = "stop"
    allow_pending: bool = False
    canary: tuple[str, ...] = ()
    window: tuple[str, ...] = ()
    soak: str = "0s"
    ignore_daemonsets: bool = True
    delete_emptydir_data: bool = False
    force: bool = False
    update_takes: str = ""

    def require_fitting(self, *, is_local: bool) -> None:
        """UsageError for what makes no sense, or is not for those who only have a token."""
        if not self.nodes or len(self.nodes) > _MOST_NODES:
            raise UsageError("no node is chosen", reason="NoTarget", hint="choose some on the map")
        if any(not name or name.startswith("-") for name in self.nodes):
            raise UsageError("this is no name of a node", reason="NoTarget")
        for name in _ONLY_LOCAL:
            if getattr(self, name) and not is_local:
                raise UsageError(
                    f"--{name} is done from the console's own machine, which is not yours",
                    reason="LocalOnly",
                    hint="work through a pod (--pod), wait for somebody (--wait-for), or use the "
                    "command line",
                )
        for preset in (self.ssh, self.pod):
            if preset and preset not in _PRESETS:
                raise UsageError(
                    f"{preset!r} is nothing that the console has done on hosts",
                    reason="UnknownWork",
                    hint=f"one of {', '.join(sorted(_PRESETS))}; scripts run from the command line",
                )
        if self.on_failure not in ("stop", "continue"):
            raise UsageError("on failure a run stops or continues", reason="BadRequest")

    def options(self) -> MaintenanceOptions:
        """What the CLI makes of the same flags."""
        for cap in filter(None, (self.max_unavailable, self.max_unavailable_per_zone)):
            parse_cap(cap, 1)
        return MaintenanceOptions(
            drain=DrainOptions(
                ignore_daemonsets=self.ignore_daemonsets,
                delete_emptydir_data=self.delete_emptydir_data,
                force=self.force,
                pod_order=PodOrder.CRITICAL,
            ),
            command=self.hook,
            wait=parse_duration(self.wait).total_seconds() if self.wait else 0.0,
            wait_for=tuple(map(parse_awaited, self.wait_for)),
            wait_limit=parse_duration(self.wait_limit).total_seconds(),
            work=self.ssh or self.pod,
            ssh=SshAccess() if self.ssh else None,
            pod=PodAccess() if self.pod else None,
            expect_reboot=self.expect_reboot,
            max_unavailable=self.max_unavailable,
            max_unavailable_per_zone=self.max_unavailable_per_zone,
            max_failed=None if self.on_failure == "continue" else 0,
            allow_pending=self.allow_pending,
            order=Order(canary=parse_canary(self.canary)),
            windows=parse_windows(self.window, ()),
            health=HealthOptions(soak=parse_duration(self.soak).total_seconds()),
        )

    def require_action(self) -> None:
        """UsageError unless exactly one thing is to be done at each node."""
        asked = (self.hook, self.wait, self.wait_for, self.ssh, self.pod)
        if sum(map(bool, asked)) != 1:
            raise UsageError(
                "say what is to be done at each drained node, one thing",
                reason="NoAction",
                hint="wait a while, wait for somebody else's work, or have it done on the host",
            )

    def arguments(self) -> tuple[str, ...]:
        """The words after `shipkeeper maintain run` that mean the same."""
        values = {
            "hook": self.hook,
            "wait": self.wait,
            "ssh": self.ssh,
            "pod": self.pod,
            "max-unavailable": self.max_unavailable if self.max_unavailable != "1" else "",
            "max-unavailable-per-zone": self.max_unavailable_per_zone,
            "on-failure": self.on_failure if self.on_failure != "stop" else "",
            "soak": self.soak if self.soak != "0s" else "",
            "wait-limit": self.wait_limit if self.wait_limit != "1h" else "",
        }
        switches = {
            "expect-reboot": self.expect_reboot,
            "allow-pending": self.allow_pending,
            "ignore-daemonsets": self.ignore_daemonsets,
            "delete-emptydir-data": self.delete_emptydir_data,
            "force": self.force,
        }
        repeated = {"wait-for": self.wait_for, "canary": self.canary, "window": self.window}
        return (
            *self.nodes,
            *(f"--{name}={value}" for name, value in values.items() if value),
            *(f"--{name}={value}" for name, each in repeated.items() for value in each),
            *(f"--{name}" for name, is_on in switches.items() if is_on),
        )
