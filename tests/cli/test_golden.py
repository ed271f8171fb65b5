"""Every output format of every noun, word for word."""

from datetime import timedelta

import msgspec
import pytest

from shipkeeper.engine.history import read_history
from shipkeeper.engine.history_report import run_report, runs_report
from shipkeeper.engine.journal import Entry, Outcome, Phase, RunRecord
from shipkeeper.engine.report import Format, Report, render
from shipkeeper.nodes.explain import explain_drain
from shipkeeper.nodes.fleet.plan import plan_fleet
from shipkeeper.nodes.inventory import take_inventory
from shipkeeper.nodes.inventory_report import inventory_report
from shipkeeper.nodes.loss.foretell import default_grace, foretell_loss
from shipkeeper.nodes.loss.report import loss_report
from shipkeeper.nodes.options import AtDeadline, DrainOptions, MaintenanceOptions
from shipkeeper.nodes.plan import plan_drain
from shipkeeper.nodes.report import explanation_report, plan_report, summary_report
from shipkeeper.nodes.summary import summarise
from shipkeeper.nodes.surge import SurgeOptions
from shipkeeper.nodes.tiers import PodOrder
from tests.cli.golden import assert_golden
from tests.cli.sample import CLUSTER, DEPARTING, FLEET, LOSS, NOW

FORCED = DrainOptions(ignore_daemonsets=True, delete_emptydir_data=True, force=True)
MAINTENANCE = MaintenanceOptions(drain=FORCED, command="apt-get upgrade -y", expect_reboot=True)
PLAN = plan_drain(CLUSTER, FORCED, NOW)
RUN = RunRecord(
    id="drain-1",
    procedure="drain",
    cluster="c2a1f0de-0000-4000-8000-000000000000",
    plan=PLAN,
    started_at=NOW - timedelta(minutes=3),
    finished_at=NOW - timedelta(minutes=1),
    outcome=Outcome.FAILED,
    person="ann@bastion",
    door="cli",
)
UNFINISHED = RunRecord(
    id="maintain-2",
    procedure="maintain",
    cluster=RUN.cluster,
    plan=plan_fleet(FLEET, MAINTENANCE, NOW),
    started_at=NOW - timedelta(hours=5),
)


def entry(step: str, phase: Phase, seconds: int, *, item: str = "", **detail: str) -> Entry:
    return Entry(
        run=RUN.id,
        step=step,
        phase=phase,
        item=item,
        detail=detail,
        written_at=RUN.started_at + timedelta(seconds=seconds),
    )


DEPARTURE = msgspec.structs.replace(
    FORCED,
    pod_order=PodOrder.CRITICAL,
    daemon_sets_last=True,
    deadline=1800.0,
    at_deadline=AtDeadline.DELETE,
    surge=SurgeOptions(enabled=True),
)
LEAVING = msgspec.structs.replace(
    DEPARTING, surging={"uid-db-0": "shop/db"}, attached={"shop/web-1": ("pv-web",)}
)
HISTORY = read_history(
    RUN,
    [
        entry("node-1/cordon", Phase.BEFORE, 0),
        entry("node-1/cordon", Phase.AFTER, 1),
        entry("node-3/cordon", Phase.BEFORE, 0),
        entry("node-3/cordon", Phase.AFTER, 1),
        entry("node-1/drain", Phase.BEFORE, 2),
        entry("node-1/drain", Phase.BEFORE, 2, item="uid-web-1", pod="shop/web-1"),
        entry("node-1/drain", Phase.AFTER, 4, item="uid-web-1", pod="shop/web-1"),
        entry("node-1/drain", Phase.BEFORE, 5, item="uid-late", pod="shop/late"),
        entry("node-1/drain", Phase.AFTER, 62),
        entry("node-3/drain", Phase.BEFORE, 2),
        entry("node-3/drain", Phase.BEFORE, 2, item="uid-web-2", pod="shop/web-2"),
        entry("node-3/drain", Phase.FAILED, 33, reason="GlobalTimeout", message="global timeout"),
    ],
)
REPORTS: dict[str, Report] = {
    "nodes": inventory_report(take_inventory(CLUSTER, NOW), NOW),
    "explain": explanation_report(explain_drain(CLUSTER, DrainOptions(), NOW), NOW),
    "if-lost": loss_report(foretell_loss(LOSS, default_grace(LOSS.version))),
    "drain-plan": plan_report(PLAN, NOW),
    "maintain-plan": plan_report(UNFINISHED.plan, NOW),
    "departure-plan": plan_report(
        plan_fleet(LEAVING, MaintenanceOptions(drain=DEPARTURE, wait=60.0), NOW), NOW
    ),
    "departure-explain": explanation_report(explain_drain(LEAVING, DEPARTURE, NOW), NOW),
    "drain-result": summary_report(summarise(HISTORY)),
    "runs": runs_report([RUN, UNFINISHED], NOW),
    "run": run_report(HISTORY),
}


@pytest.mark.parametrize("format_", list(Format))
@pytest.mark.parametrize("noun", list(REPORTS))
def test_output(noun: str, format_: Format) -> None:
    assert_golden(f"{noun}.{format_}", render(REPORTS[noun], format_))
