"""A ClusterUpgrade asks for what the command's flags ask for, and heeds no other plan than its."""

from typing import Any

import msgspec
import pytest

from shipkeeper.cli.backup_flags import HERE
from shipkeeper.cli.departure_flags import UNHURRIED
from shipkeeper.cli.drain_flags import DrainFlags
from shipkeeper.cli.fleet_flags import ONE_BY_ONE, FleetFlags
from shipkeeper.cli.upgrade_flags import UpgradeFlags
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import UsageError
from shipkeeper.operator.api.upgrades import ClusterUpgradeSpec
from shipkeeper.operator.api.windows import MaintenanceWindowSpec
from shipkeeper.operator.upgrades.options import asks_for_else, options_of, without_last
from shipkeeper.upgrade.options import UpgradeOptions, as_request

WINDOWS = {"night": MaintenanceWindowSpec(cron="0 22 * * *", length="6h", time_zone="UTC")}
NIGHTLY: dict[str, Any] = {"to": "v1.37", "wait": {"limit": "2h"}, "windows": ["night"]}


def read(spec: dict[str, Any]) -> ClusterUpgradeSpec:
    return msgspec.convert(spec, ClusterUpgradeSpec)


def told(to: str, fleet: FleetFlags = ONE_BY_ONE, **flags: Any) -> UpgradeOptions:
    """What flags ask for."""
    drain = DrainFlags(ignore_daemonsets=True)
    return UpgradeFlags(**flags).options(to, fleet, drain, UNHURRIED, HERE)


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ({"to": "v1.37"}, told("v1.37")),
        ({"to": "1.37.1", "wait": {}}, told("1.37.1", wait_only=True)),
        (
            {"to": "v1.37", "via": ["1.36.1"], "noBackup": True, "wait": {}},
            told("v1.37", wait_only=True, via=("v1.36.1",), no_backup=True),
        ),
        (
            {"to": "v1.37", "wait": {"limit": "2h"}, "pace": {"maxUnavailable": "10%"}},
            told("v1.37", FleetFlags(wait_limit="2h", max_unavailable="10%"), wait_only=True),
        ),
        (
            NIGHTLY,
            told(
                "v1.37", FleetFlags(wait_limit="2h", window=("0 22 * * * 6h UTC",)), wait_only=True
            ),
        ),
    ],
)
def test_a_spec_asks_for_what_flags_ask_for(spec: dict[str, Any], flags: UpgradeOptions) -> None:
    assert options_of(read(spec), WINDOWS, ()) == flags


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"to": "v1.37", "approvedPlan": "0" * 32}, "somebody else does"),
        ({"to": "v1.37", "windows": ["day"]}, "no MaintenanceWindow day"),
    ],
)
def test_what_an_old_server_lets_pass_is_refused_here(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        options_of(read(spec), WINDOWS, ())


def planned() -> Plan:
    """The plan of a nightly upgrade, as it was written down by a leader on the node `own`."""
    options = options_of(read(NIGHTLY), WINDOWS, ("own",))
    written = msgspec.json.decode(msgspec.json.encode(as_request(options)))
    return Plan(procedure="upgrade", request=written, steps=())


@pytest.mark.parametrize(
    ("change", "is_else"),
    [
        ({}, False),
        ({"paused": True}, False),
        ({"failOn": "low", "checkEvery": "5m"}, False),
        ({"to": "v1.37.2"}, False),
        ({"to": "1.37.1"}, True),
        ({"to": "v1.38"}, True),
        ({"via": ["v1.36.1"]}, True),
        ({"wait": {"limit": "3h"}}, True),
        ({"windows": []}, True),
        ({"windows": ["night", "day"]}, True),
        ({"pace": {"maxUnavailable": "2"}}, True),
        ({"readyTimeout": "99999999999999h"}, True),
    ],
)
def test_what_a_spec_asks_for_is_compared_with_what_was_planned(
    change: dict[str, Any], is_else: bool
) -> None:
    assert asks_for_else(read({**NIGHTLY, **change}), planned()) is is_else


def test_wherever_the_operator_runs_the_same_is_approved() -> None:
    here, there = (options_of(read(NIGHTLY), WINDOWS, (name,)) for name in ("a", "b"))
    assert here != there
    assert without_last(here) == without_last(there)
