"""What a NodeMaintenance asks for, as the options that the planner takes. Pure."""

from collections.abc import Mapping, Sequence
from math import ceil

from shipkeeper.errors import UsageError
from shipkeeper.metrics.prometheus import PrometheusOptions
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.selector import parse_selector
from shipkeeper.nodes.awaited import parse_awaited
from shipkeeper.nodes.fleet.caps import parse_cap
from shipkeeper.nodes.health import HealthOptions, Meaning, MetricCheck, firing_alerts
from shipkeeper.nodes.options import (
    AtDeadline,
    DrainOptions,
    IfWorkFails,
    MaintenanceOptions,
    PodAccess,
    VolumeOptions,
)
from shipkeeper.nodes.orders import Order, parse_canary, parse_order_by
from shipkeeper.nodes.surge import SurgeOptions
from shipkeeper.nodes.tiers import PodOrder
from shipkeeper.nodes.windows import Windows, parse_windows
from shipkeeper.operator.api.fleet import Drain, Gates, Pace
from shipkeeper.operator.api.maintenance import Action, NodeMaintenanceSpec, Targets
from shipkeeper.operator.api.windows import MaintenanceWindowSpec


def targets_of(spec: NodeMaintenanceSpec) -> tuple[tuple[str, ...], str]:
    """The names, or the label selector, of the nodes; both are empty if all are meant.

    UsageError if the selector cannot be read, or if not exactly one of them is given.
    """
    targets: Targets = spec.nodes
    given = (bool(targets.names), bool(targets.selector), targets.all is not None)
    if sum(given) != 1:
        raise UsageError(
            "spec.nodes must have exactly one of names, selector and all",
            reason="AmbiguousTarget",
            hint="name nodes, select them, or say all: Nodes",
        )
    parse_selector(targets.selector)
    return targets.names, targets.selector


def options_of(
    spec: NodeMaintenanceSpec, windows: Mapping[str, MaintenanceWindowSpec], last: Sequence[str]
) -> MaintenanceOptions:
    """The options; `last` are the nodes that go after all others. UsageError for nonsense."""
    action, pace = spec.action, spec.pace
    _require_one(action)
    wait_for = action.wait_for
    return MaintenanceOptions(
        drain=_drain(spec.drain),
        wait=_seconds(action.wait or "0"),
        wait_for=tuple(map(parse_awaited, wait_for.seen)) if wait_for else (),
        wait_limit=_seconds(wait_for.limit) if wait_for else 3600.0,
        work=action.pod.work if action.pod else "",
        pod=_pod(action),
        time_limit=ceil(_seconds(action.pod.time_limit)) if action.pod else 0,
        if_work_fails=IfWorkFails(spec.if_work_fails),
        expect_reboot=spec.expect_reboot,
        ready_timeout=_seconds(spec.ready_timeout),
        max_unavailable=_cap(pace.max_unavailable),
        max_unavailable_per_zone=_cap(pace.max_unavailable_per_zone),
        max_unavailable_per_pool=_cap(pace.max_unavailable_per_pool),
        pool_label=_pool(pace),
        max_failed=pace.max_failed,
        allow_pending=pace.allow_pending,
        order=Order(
            canary=parse_canary(spec.order.canary),
            growth=float(pace.growth),
            by=tuple(map(parse_order_by, spec.order.by)),
            last=tuple(last),
        ),
        windows=windows_of(spec, windows),
        health=_health(spec.gates),
        volumes=VolumeOptions(
            detach_timeout=_seconds(spec.volumes.detach_timeout),
            attach_timeout=_seconds(spec.volumes.attach_timeout),
            go_on=spec.volumes.at_detach_timeout == "continue",
        ),
    )


def windows_of(spec: NodeMaintenanceSpec, known: Mapping[str, MaintenanceWindowSpec]) -> Windows:
    """The windows that are named; UsageError if there is no such MaintenanceWindow."""
    found: list[str] = []
    days_off: list[str] = []
    for name in spec.windows:
        if name not in known:
            raise UsageError(
                f"there is no MaintenanceWindow {name}",
                reason="WindowNotFound",
                hint="create it, or leave it out of spec.windows",
            )
        found.append(window_text(known[name]))
        days_off += known[name].days_off
    return parse_windows(tuple(found), tuple(days_off))


def window_text(spec: MaintenanceWindowSpec) -> str:
    """A window as it is written on the command line."""
    return f"{spec.cron} {spec.length} {spec.time_zone}"


def _require_one(action: Action) -> None:
    if sum(each is not None for each in (action.wait, action.wait_for, action.pod)) != 1:
        raise UsageError(
            "spec.action must have exactly one of wait, waitFor and pod",
            reason="NoAction",
            hint="such as wait: 5m",
        )


def _drain(drain: Drain) -> DrainOptions:
    parse_selector(drain.pod_selector)
    grace = drain.grace_period_seconds
    return DrainOptions(
        force=drain.force,
        ignore_daemonsets=drain.ignore_daemon_sets,
        delete_emptydir_data=drain.delete_empty_dir_data,
        disable_eviction=drain.disable_eviction,
        grace_period=-1 if grace is None else grace,
        pod_selector=drain.pod_selector,
        timeout=_seconds(drain.timeout),
        pod_order=PodOrder(drain.pod_order),
        daemon_sets_last=drain.daemon_sets_last,
        deadline=_seconds(drain.deadline.after) if drain.deadline else 0.0,
        at_deadline=AtDeadline(drain.deadline.then) if drain.deadline else AtDeadline.GIVE_UP,
        surge=SurgeOptions(enabled=drain.surge, timeout=_seconds(drain.surge_timeout)),
        ignore_holds=drain.ignore_holds,
    )


def _pod(action: Action) -> PodAccess | None:
    if action.pod is None:
        return None
    return PodAccess(
        image=action.pod.image,
        namespace=action.pod.namespace,
        start_timeout=_seconds(action.pod.start_timeout),
    )


def _cap(cap: int | str | None) -> str:
    text = "" if cap is None else str(cap)
    if text:
        parse_cap(text, 1)
    return text


def _pool(pace: Pace) -> str:
    if (pace.max_unavailable_per_pool is None) != (pace.pool_label is None):
        raise UsageError(
            "spec.pace.maxUnavailablePerPool and poolLabel go together",
            reason="NoPool",
            hint="such as poolLabel: node-pool",
        )
    return pace.pool_label or ""


def _health(gates: Gates) -> HealthOptions:
    checks = (
        *(MetricCheck(query=each, meaning=Meaning.HEALTHY) for each in gates.healthy_if),
        *(MetricCheck(query=each, meaning=Meaning.TROUBLE) for each in gates.unhealthy_if),
        *((firing_alerts(),) if gates.no_firing_alerts else ()),
    )
    if checks and not gates.prometheus:
        raise UsageError(
            "spec.gates asks for metrics, but names no metrics server",
            reason="NoMetricsServer",
            hint="name it in spec.gates.prometheus",
        )
    return HealthOptions(
        soak=_seconds(gates.soak),
        timeout=_seconds(gates.timeout),
        checks=checks,
        prometheus=PrometheusOptions(url=gates.prometheus) if gates.prometheus else None,
    )


def _seconds(text: str) -> float:
    return parse_duration(text).total_seconds()
