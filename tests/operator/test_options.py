"""A NodeMaintenance asks for what the command's flags ask for; nonsense is refused in words."""

from typing import Any

import msgspec
import pytest

from shipkeeper.cli.departure_flags import DepartureFlags
from shipkeeper.cli.drain_flags import DrainFlags
from shipkeeper.cli.fleet_flags import FleetFlags
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import UsageError
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.operator.api.maintenance import NodeMaintenanceSpec
from shipkeeper.operator.api.windows import MaintenanceWindowSpec
from shipkeeper.operator.maintenance.options import options_of, targets_of
from shipkeeper.operator.maintenance.planning import asks_for_more

WINDOWS = {"night": MaintenanceWindowSpec(cron="0 22 * * *", length="6h", time_zone="UTC")}


def asked(**spec: Any) -> MaintenanceOptions:
    """What a spec asks for."""
    given = {"nodes": {"all": "Nodes"}, "action": {"wait": "5m"}, **spec}
    return options_of(msgspec.convert(given, NodeMaintenanceSpec), WINDOWS, ())


def told(
    drain: DrainFlags | None = None, departure: DepartureFlags | None = None, **fleet: Any
) -> MaintenanceOptions:
    """What flags ask for."""
    flags = drain or DrainFlags(ignore_daemonsets=True)
    given: dict[str, Any] = {"wait": "5m", **fleet}
    asked_for = FleetFlags(**given).options(flags.options())
    return (departure or DepartureFlags()).complete(flags, asked_for)


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ({}, told()),
        (
            {"action": {"waitFor": {"seen": ["kernel=6.12.9"], "limit": "2h"}}},
            told(wait="", wait_for=("kernel=6.12.9",), wait_limit="2h"),
        ),
        (
            {"action": {"pod": {"work": "reboot", "timeLimit": "1h"}}},
            told(wait="", pod="reboot", time_limit="1h"),
        ),
        (
            {
                "pace": {
                    "maxUnavailable": 3,
                    "maxUnavailablePerZone": "50%",
                    "maxUnavailablePerPool": 1,
                    "poolLabel": "pool",
                    "maxFailed": 2,
                    "allowPending": True,
                    "growth": 2,
                }
            },
            told(
                max_unavailable="3",
                max_unavailable_per_zone="50%",
                max_unavailable_per_pool="1",
                pool_label="pool",
                max_failed=2,
                allow_pending=True,
                wave_growth=2.0,
            ),
        ),
        (
            {"order": {"canary": ["1", "tier=canary"], "by": ["zone", "env=dev,prod"]}},
            told(canary=("1", "tier=canary"), order_by=("zone", "env=dev,prod")),
        ),
        (
            {
                "gates": {
                    "soak": "5m",
                    "prometheus": "http://p:9090",
                    "healthyIf": ["up"],
                    "unhealthyIf": ["down"],
                    "noFiringAlerts": True,
                }
            },
            told(
                soak="5m",
                prometheus="http://p:9090",
                healthy_if=("up",),
                unhealthy_if=("down",),
                no_firing_alerts=True,
            ),
        ),
        (
            {
                "drain": {
                    "force": True,
                    "ignoreDaemonSets": False,
                    "daemonSetsLast": True,
                    "deleteEmptyDirData": True,
                    "gracePeriodSeconds": 5,
                    "podSelector": "a=b",
                    "timeout": "10m",
                    "podOrder": "priority",
                    "deadline": {"after": "30m", "then": "delete"},
                    "surge": True,
                    "ignoreHolds": True,
                },
                "volumes": {"detachTimeout": "1m", "atDetachTimeout": "continue"},
                "ifWorkFails": "returned",
                "expectReboot": True,
                "readyTimeout": "20m",
            },
            told(
                DrainFlags(
                    force=True,
                    delete_emptydir_data=True,
                    grace_period=5,
                    pod_selector="a=b",
                    timeout="10m",
                    pod_order="priority",
                    surge=True,
                    ignore_holds=True,
                ),
                DepartureFlags(
                    daemonset_pods="last",
                    drain_deadline="30m",
                    at_deadline="delete",
                    detach_timeout="1m",
                    at_detach_timeout="continue",
                ),
                if_work_fails="returned",
                expect_reboot=True,
                ready_timeout="20m",
            ),
        ),
        ({"windows": ["night"]}, told(window=("0 22 * * * 6h UTC",))),
    ],
)
def test_a_spec_asks_for_what_flags_ask_for(
    spec: dict[str, Any], flags: MaintenanceOptions
) -> None:
    assert asked(**spec) == flags


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"action": {}}, "exactly one of wait, waitFor and pod"),
        ({"action": {"wait": "1s", "pod": {"work": "reboot"}}}, "exactly one"),
        ({"windows": ["day"]}, "no MaintenanceWindow day"),
        ({"pace": {"maxUnavailable": "many"}}, "no number of nodes"),
        ({"pace": {"poolLabel": "pool"}}, "go together"),
        ({"gates": {"noFiringAlerts": True}}, "names no metrics server"),
        ({"drain": {"podSelector": "=="}}, "selector"),
    ],
)
def test_what_an_old_server_lets_pass_is_refused_here(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        asked(**spec)


def test_exactly_one_way_to_name_nodes() -> None:
    both = {"nodes": {"all": "Nodes", "names": ["a"]}, "action": {"wait": "1s"}}
    with pytest.raises(UsageError, match="exactly one"):
        targets_of(msgspec.convert(both, NodeMaintenanceSpec))


NIGHTLY: dict[str, Any] = {
    "nodes": {"all": "Nodes"},
    "action": {"wait": "5m"},
    "windows": ["night"],
}


def planned(last: tuple[str, ...] = ()) -> Plan:
    """The plan of a nightly maintenance, as it was written down."""
    options = options_of(msgspec.convert(NIGHTLY, NodeMaintenanceSpec), WINDOWS, last)
    written = msgspec.json.decode(msgspec.json.encode(options))
    return Plan(procedure="maintain", request={"options": written}, steps=())


@pytest.mark.parametrize(
    ("change", "is_else"),
    [
        ({}, False),
        ({"paused": True}, False),
        ({"windows": []}, True),
        ({"windows": ["night", "day"]}, True),
        ({"action": {"wait": "6m"}}, True),
        ({"pace": {"maxUnavailable": "2"}}, True),
        ({"action": {"wait": "999999999999h"}}, True),
    ],
)
def test_what_a_spec_asks_for_is_compared_with_what_was_planned(
    change: dict[str, Any], is_else: bool
) -> None:
    spec = msgspec.convert({**NIGHTLY, **change}, NodeMaintenanceSpec)
    assert asks_for_more(spec, planned(last=("own",))) is is_else


def test_a_plan_of_an_older_version_is_still_what_its_spec_asks_for() -> None:
    plan = planned()
    # An option that did not exist when it was planned.
    del plan.request["options"]["steer"]
    assert not asks_for_more(msgspec.convert(NIGHTLY, NodeMaintenanceSpec), plan)
