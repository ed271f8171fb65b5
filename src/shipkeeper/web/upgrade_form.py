"""An upgrade as the page asks for it: the options of a plan, and the same as a command line."""

import msgspec

from shipkeeper.backup.opening import Place
from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.version import Version
from shipkeeper.nodes.awaited import Aspect, Awaited
from shipkeeper.nodes.fleet.caps import parse_cap
from shipkeeper.nodes.health import HealthOptions
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, SshAccess
from shipkeeper.nodes.orders import Order, parse_canary
from shipkeeper.nodes.tiers import PodOrder
from shipkeeper.nodes.windows import parse_windows
from shipkeeper.upgrade.backup import into
from shipkeeper.upgrade.options import UpgradeOptions

_LONGEST = 20  # versions on the way


class UpgradeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of `shipkeeper upgrade run` that the page offers, in its spelling.

    `to` is a whole version. Without `wait` hosts are worked on over SSH, with the keys of the
    console's own machine. Raises UsageError where the CLI would.
    """

    to: str
    via: tuple[str, ...] = ()
    wait: bool = False
    packages: str = ""
    snapshot: bool = True
    backup: bool = True
    max_unavailable: str = "1"
    max_unavailable_per_zone: str = ""
    on_failure: str = "stop"
    allow_pending: bool = False
    canary: tuple[str, ...] = ()
    window: tuple[str, ...] = ()
    soak: str = "0s"
    wait_limit: str = "1h"
    ignore_daemonsets: bool = True
    delete_emptydir_data: bool = False
    force: bool = False

    def require_fitting(self, *, is_local: bool) -> None:
        """UsageError for what makes no sense, or is not for those who only have a token."""
        if not is_local and (self.backup or not self.wait):
            what = "saved with the console's own key" if self.wait else "done over SSH"
            raise UsageError(
                f"this is {what}, from the console's own machine, which is not yours",
                reason="LocalOnly",
                hint="watch while somebody else upgrades (--wait), without a backup (--no-backup), "
                "or use the command line",
            )
        if self.packages not in ("", "apt", "dnf"):
            raise UsageError("packages are apt's or dnf's", reason="BadRequest")
        if self.on_failure not in ("stop", "continue"):
            raise UsageError("on failure a run stops or continues", reason="BadRequest")
        if len(self.via) > _LONGEST:
            raise UsageError("no way has so many versions", reason="BadRequest")

    def options(self, place: Place | None) -> UpgradeOptions:
        """What the CLI makes of the same flags; `place` is the repository that it is given."""
        for cap in filter(None, (self.max_unavailable, self.max_unavailable_per_zone)):
            parse_cap(cap, 1)
        return UpgradeOptions(
            target=_version(self.to),
            via=tuple(_version(each) for each in self.via),
            packages=self.packages,
            snapshot=self.snapshot,
            backup=into(place) if place and self.backup else None,
            goes_without_backup=not self.backup,
            nodes=MaintenanceOptions(
                drain=DrainOptions(
                    ignore_daemonsets=self.ignore_daemonsets,
                    delete_emptydir_data=self.delete_emptydir_data,
                    force=self.force,
                    pod_order=PodOrder.CRITICAL,
                ),
                wait_for=(Awaited(aspect=Aspect.KUBELET),) if self.wait else (),
                wait_limit=parse_duration(self.wait_limit).total_seconds(),
                ssh=None if self.wait else SshAccess(),
                max_unavailable=self.max_unavailable,
                max_unavailable_per_zone=self.max_unavailable_per_zone,
                max_failed=None if self.on_failure == "continue" else 0,
                allow_pending=self.allow_pending,
                order=Order(canary=parse_canary(self.canary)),
                windows=parse_windows(self.window, ()),
                health=HealthOptions(soak=parse_duration(self.soak).total_seconds()),
            ),
        )

    def arguments(self, place: Place | None) -> tuple[str, ...]:
        """The words after `shipkeeper upgrade run` that mean the same."""
        saved = place if self.backup and place else Place(url="")
        values = {
            "to": _version(self.to),
            "packages": self.packages,
            "repo": saved.url,
            "endpoint": saved.endpoint,
            "key": saved.key,
            "max-unavailable": self.max_unavailable if self.max_unavailable != "1" else "",
            "max-unavailable-per-zone": self.max_unavailable_per_zone,
            "on-failure": self.on_failure if self.on_failure != "stop" else "",
            "soak": self.soak if self.soak != "0s" else "",
            "wait-limit": self.wait_limit if self.wait_limit != "1h" else "",
        }
        switches = {
            "wait": self.wait,
            "no-snapshot": not self.snapshot,
            "no-backup": not self.backup,
            "allow-pending": self.allow_pending,
            "ignore-daemonsets": self.ignore_daemonsets,
            "delete-emptydir-data": self.delete_emptydir_data,
            "force": self.force,
        }
        repeated = {"via": self.via, "canary": self.canary, "window": self.window}
        return (
            *(f"--{name}={value}" for name, value in values.items() if value),
            *(f"--{name}={value}" for name, each in repeated.items() for value in each),
            *(f"--{name}" for name, is_on in switches.items() if is_on),
        )


def _version(text: str) -> str:
    """A whole version of Kubernetes, as the CLI writes it."""
    version = Version.parse(text)
    if version.major != 1:
        raise UsageError(
            f"{text!r} is no version of Kubernetes that exists",
            reason="InvalidVersion",
            hint="write for example v1.37.2",
        )
    return str(version)
