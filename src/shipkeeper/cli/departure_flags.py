"""The flags of a maintenance about how pods and volumes leave a node, and until when."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.cli.drain_flags import DrainFlags
from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.options import AtDeadline, DrainOptions, MaintenanceOptions, VolumeOptions
from shipkeeper.nodes.tiers import PodOrder


@Parameter(name="*", group=Group("Departure", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class DepartureFlags:
    """Who leaves a node last, until when, and what is seen of volumes."""

    daemonset_pods: Annotated[
        Literal["ignore", "last"],
        Parameter(help="last: those that tolerate no taint of ours end after all other pods."),
    ] = "ignore"
    drain_deadline: Annotated[
        str, Parameter(help="How long a node's drain may take (30m); see --at-deadline.")
    ] = ""
    at_deadline: Annotated[
        Literal["give-up", "delete", "kill"] | None,
        Parameter(
            help="Then: put the node back in service; or delete what is left past its budgets, "
            "with its own grace period or with one second."
        ),
    ] = None
    detach_timeout: Annotated[
        str, Parameter(help="How long volumes of moved pods may take to leave a node.")
    ] = "6m"
    at_detach_timeout: Annotated[
        Literal["fail", "continue"],
        Parameter(help="Then: put the node back in service, or work on it all the same."),
    ] = "fail"
    attach_timeout: Annotated[
        str, Parameter(help="How long they may take to be attached where their pods are.")
    ] = "6m"

    def complete(self, flags: DrainFlags, options: MaintenanceOptions) -> MaintenanceOptions:
        """The options with what was asked for here; UsageError if it makes no sense."""
        return msgspec.structs.replace(
            options, drain=self._drain(flags, options.drain), volumes=self._volumes()
        )

    def _drain(self, flags: DrainFlags, options: DrainOptions) -> DrainOptions:
        deadline = parse_duration(self.drain_deadline).total_seconds() if self.drain_deadline else 0
        if bool(deadline) != bool(self.at_deadline):
            raise UsageError(
                "--drain-deadline and --at-deadline go together",
                reason="NoEscalation",
                hint="for example --drain-deadline=30m --at-deadline=give-up",
            )
        return msgspec.structs.replace(
            options,
            pod_order=options.pod_order if flags.pod_order else PodOrder.CRITICAL,
            daemon_sets_last=self.daemonset_pods == "last",
            deadline=float(deadline),
            at_deadline=AtDeadline(self.at_deadline or AtDeadline.GIVE_UP),
        )

    def _volumes(self) -> VolumeOptions:
        return VolumeOptions(
            detach_timeout=parse_duration(self.detach_timeout).total_seconds(),
            attach_timeout=parse_duration(self.attach_timeout).total_seconds(),
            go_on=self.at_detach_timeout == "continue",
        )


# Without flags.
UNHURRIED = DepartureFlags()
