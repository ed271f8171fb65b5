"""The flags of a maintenance: what is done to each node, and to how many at once."""

import re
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from shipkeeper.cli.ssh_flags import SshFlags
from shipkeeper.errors import UsageError
from shipkeeper.metrics.prometheus import PrometheusOptions
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.awaited import parse_awaited
from shipkeeper.nodes.fleet.caps import parse_cap
from shipkeeper.nodes.health import HealthOptions, Meaning, MetricCheck, firing_alerts
from shipkeeper.nodes.options import (
    DrainOptions,
    IfWorkFails,
    MaintenanceOptions,
    PodAccess,
    SshAccess,
)
from shipkeeper.nodes.orders import Order, parse_canary, parse_order_by
from shipkeeper.nodes.windows import parse_windows

_MAINTENANCE = Group("Maintenance", sort_key=0)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@Parameter(name="*", group=_MAINTENANCE)
@dataclass(frozen=True, kw_only=True)
class FleetFlags(SshFlags):
    """What is done to each node, and to how many at once."""

    hook: Annotated[
        str,
        Parameter(
            name=("--hook", "--command"),
            help="What to run here for each drained node; it is told $NODE_NAME.",
        ),
    ] = ""
    wait: Annotated[str, Parameter(help="Wait so long at each drained node instead (5m).")] = ""
    wait_for: Annotated[
        tuple[str, ...],
        Parameter(help="Somebody else does it: reboot, kernel, os-image, kubelet (kernel=6.12.9)."),
    ] = ()
    wait_limit: Annotated[str, Parameter(help="How long that may take.")] = "1h"
    ssh: Annotated[
        str,
        Parameter(help="Do it on the host over SSH: os-update, reboot, reboot-always or a script."),
    ] = ""
    pod: Annotated[
        str,
        Parameter(help="Do it through a privileged pod on the node; what, as with --ssh."),
    ] = ""
    pod_image: Annotated[str, Parameter(help="The pod's image, with sh and nsenter.")] = (
        "busybox:stable"
    )
    pod_namespace: Annotated[str, Parameter(help="A namespace that admits such pods.")] = (
        "kube-system"
    )
    pod_timeout: Annotated[str, Parameter(help="How long the pod may take to start.")] = "2m"
    time_limit: Annotated[
        str, Parameter(help="How long a hook or the work on a host may take.")
    ] = "0s"
    secret_env: Annotated[
        tuple[str, ...],
        Parameter(help="A variable of this environment to pass on, masked in what is shown."),
    ] = ()
    if_work_fails: Annotated[
        Literal["cordoned", "returned"],
        Parameter(help="Whether the node stays cordoned then, or takes pods again if Ready."),
    ] = "cordoned"
    expect_reboot: Annotated[bool, Parameter(help="See a new boot ID afterwards.")] = False
    ready_timeout: Annotated[str, Parameter(help="How long a node may take to come back.")] = "10m"
    max_unavailable: Annotated[
        str, Parameter(help="How many nodes may be down at once (3 or 10%).")
    ] = "1"
    max_unavailable_per_zone: Annotated[
        str, Parameter(help="How many of them in one zone (1 or 50%).")
    ] = ""
    max_unavailable_per_pool: Annotated[
        str, Parameter(help="How many of them in one pool; see --pool-label.")
    ] = ""
    pool_label: Annotated[str, Parameter(help="The node label that names a node's pool.")] = ""
    on_failure: Annotated[
        Literal["stop", "continue"],
        Parameter(help="Whether further nodes are begun after one failed."),
    ] = "stop"
    max_failed: Annotated[
        int | None,
        Parameter(help="How many may fail before no other is begun.", validator=Number(gte=0)),
    ] = None
    allow_pending: Annotated[
        bool, Parameter(help="Bear that pods without room elsewhere are Pending meanwhile.")
    ] = False
    no_steering: Annotated[bool, Parameter(help="Do not let pods prefer nodes that are done.")] = (
        False
    )

    canary: Annotated[
        tuple[str, ...],
        Parameter(help="Nodes that go first and alone: a number, a name, or a selector."),
    ] = ()
    order_by: Annotated[
        tuple[str, ...],
        Parameter(help="One value after the other: zone, a label, or env=dev,staging,prod."),
    ] = ()
    wave_growth: Annotated[
        float, Parameter(help="By how much more nodes go together than before: 2 is 1, 2, 4 …")
    ] = 0.0
    window: Annotated[
        tuple[str, ...],
        Parameter(help="When nodes may be begun: '0 22 * * sat 4h Europe/Berlin'."),
    ] = ()
    day_off: Annotated[
        tuple[str, ...], Parameter(help="When not: 2026-12-24, or 2026-12-24..2027-01-06.")
    ] = ()
    soak: Annotated[str, Parameter(help="How long health must hold between groups.")] = "0s"
    health_timeout: Annotated[
        str, Parameter(help="How long it may take to come back, or the run ends.")
    ] = "10m"
    prometheus: Annotated[str, Parameter(help="URL of a Prometheus to ask between groups.")] = ""
    healthy_if: Annotated[
        tuple[str, ...], Parameter(help="A query that must have values, none of them zero.")
    ] = ()
    unhealthy_if: Annotated[
        tuple[str, ...], Parameter(help="A query that must have no result, like an alert's.")
    ] = ()
    no_firing_alerts: Annotated[
        bool, Parameter(help="No alert may fire, but those that fire always.")
    ] = False

    def options(self, drain: DrainOptions, *, is_plan: bool = False) -> MaintenanceOptions:
        """What was asked for; UsageError if it makes no sense. A plan needs no action."""
        for cap in (
            self.max_unavailable,
            self.max_unavailable_per_zone,
            self.max_unavailable_per_pool,
        ):
            if cap:
                parse_cap(cap, 1)
        if bool(self.max_unavailable_per_pool) != bool(self.pool_label):
            raise UsageError(
                "--max-unavailable-per-pool and --pool-label go together",
                reason="NoPool",
                hint="for example --pool-label=node-pool --max-unavailable-per-pool=1",
            )
        return MaintenanceOptions(
            drain=drain,
            command=self.hook,
            wait=self._wait(is_plan=is_plan),
            wait_for=tuple(map(parse_awaited, self.wait_for)),
            wait_limit=parse_duration(self.wait_limit).total_seconds(),
            work=self.ssh or self.pod,
            ssh=self._ssh(),
            pod=self._pod(),
            time_limit=ceil(parse_duration(self.time_limit).total_seconds()),
            secret_env=tuple(map(_variable, self.secret_env)),
            if_work_fails=IfWorkFails(self.if_work_fails),
            expect_reboot=self.expect_reboot,
            ready_timeout=parse_duration(self.ready_timeout).total_seconds(),
            max_unavailable=self.max_unavailable,
            max_unavailable_per_zone=self.max_unavailable_per_zone,
            max_unavailable_per_pool=self.max_unavailable_per_pool,
            pool_label=self.pool_label,
            max_failed=self._max_failed(),
            allow_pending=self.allow_pending,
            steer=not self.no_steering,
            order=Order(
                canary=parse_canary(self.canary),
                growth=self.wave_growth,
                by=tuple(map(parse_order_by, self.order_by)),
            ),
            windows=parse_windows(self.window, self.day_off),
            health=self._health(),
        )

    def _health(self) -> HealthOptions:
        checks = (
            *(MetricCheck(query=each, meaning=Meaning.HEALTHY) for each in self.healthy_if),
            *(MetricCheck(query=each, meaning=Meaning.TROUBLE) for each in self.unhealthy_if),
            *((firing_alerts(),) if self.no_firing_alerts else ()),
        )
        if checks and not self.prometheus:
            raise UsageError(
                "queries and alerts need a metrics server to ask",
                reason="NoMetricsServer",
                hint="name it with --prometheus http://prometheus.monitoring:9090",
            )
        return HealthOptions(
            soak=parse_duration(self.soak).total_seconds(),
            timeout=parse_duration(self.health_timeout).total_seconds(),
            checks=checks,
            prometheus=PrometheusOptions(url=self.prometheus) if self.prometheus else None,
        )

    def _max_failed(self) -> int | None:
        if self.max_failed is not None:
            return self.max_failed
        return None if self.on_failure == "continue" else 0

    def _wait(self, *, is_plan: bool) -> float:
        """The seconds to wait at each node; a maintenance does one of five things."""
        asked = sum(map(bool, (self.hook, self.wait, self.wait_for, self.ssh, self.pod)))
        if asked > 1 or not (asked or is_plan):
            raise UsageError(
                "a maintenance needs either --hook or --wait or --wait-for or --ssh or --pod",
                reason="NoAction",
                hint="""such as --ssh os-update, --hook './work "$NODE_NAME"', or --wait 5m""",
            )
        return parse_duration(self.wait).total_seconds() if self.wait else 0.0

    def _ssh(self) -> SshAccess | None:
        if not self.ssh:
            return None
        return self.ssh_access()

    def _pod(self) -> PodAccess | None:
        if not self.pod:
            return None
        return PodAccess(
            image=self.pod_image,
            namespace=self.pod_namespace,
            start_timeout=parse_duration(self.pod_timeout).total_seconds(),
        )


def _variable(name: str) -> str:
    """A name that a shell can export; UsageError otherwise."""
    if not _VARIABLE.fullmatch(name):
        raise UsageError(
            f"{name!r} is not the name of an environment variable",
            reason="BadVariable",
            hint="give its name alone, such as --secret-env TOKEN; its value is read from there",
        )
    return name


# Without flags.
ONE_BY_ONE = FleetFlags()
