"""A plan on the console is what the command line prints, of whichever procedure it is."""

from datetime import UTC, datetime
from html import escape
from typing import Any

import msgspec
import pytest

from shipkeeper.access.certs.renew.leaves import Authority
from shipkeeper.access.certs.renew.plan import PROCEDURE as RENEW
from shipkeeper.access.certs.renew.plan import RenewOutlook
from shipkeeper.access.certs.renew.report import renewal_report
from shipkeeper.access.certs.renew.site import Renewed, Site
from shipkeeper.access.certs.rotate.outlook import RotationOutlook
from shipkeeper.access.certs.rotate.plan import PROCEDURE as ROTATE
from shipkeeper.access.certs.rotate.report import stage_report
from shipkeeper.access.certs.rotate.standing import Stage
from shipkeeper.backup.restore_report import restore_report
from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.report import Format, Report, render
from shipkeeper.etcd.recover.report import recovery_report
from shipkeeper.nodes.picture import RunPicture
from shipkeeper.nodes.report import plan_report
from shipkeeper.upgrade.plan_report import upgrade_report
from shipkeeper.web.pages.export import export_page
from shipkeeper.web.plan_words import plan_words
from tests.etcd import test_recover_plan as recovery
from tests.nodes.fleet.sample import fleet
from tests.web.test_agreed import BUDGETS, NODES, PODS, maintained, restored, upgraded

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = (Step(id="cp1", action="renew", target="host/cp1", effect="made anew", undo="put back"),)
SITES = (
    Site(
        host="cp1",
        how="openssl",
        leaves=(
            Renewed(
                name="apiserver",
                authority="kubernetes",
                path="/etc/kubernetes/pki/apiserver.crt",
                subject="CN=kube-apiserver",
                not_after="2026-04-01T00:00:00Z",
                sha256="ab" * 32,
            ),
        ),
    ),
)


def certified(procedure: str, outlook: RenewOutlook | RotationOutlook) -> Plan:
    told: dict[str, Any] = msgspec.to_builtins(outlook)
    return Plan(procedure=procedure, request={}, steps=STEPS, outlook=told)


def renewed() -> Plan:
    folder = "/etc/kubernetes/renew-1"
    return certified(RENEW, RenewOutlook(sites=SITES, folder=folder, kubeadm={}))


def rotated() -> Plan:
    return certified(
        ROTATE,
        RotationOutlook(
            authority=Authority.KUBERNETES,
            stage=Stage.MOVE,
            sites=SITES,
            nodes={"cp1": "cp1"},
            folder="/etc/kubernetes/rotate-move-1",
            keep="/etc/kubernetes/rotate-kubernetes",
            maker="cp1",
            name="kubernetes",
            old="old",
        ),
    )


STATE = fleet(NODES, PODS, BUDGETS)
RECOVERED = recovery.plan(recovery.seen("a", 1), recovery.seen("b", 2))
SHOWN: list[tuple[Plan, Report]] = [
    (maintained(STATE), plan_report(maintained(STATE), NOW)),
    (upgraded(STATE), upgrade_report(upgraded(STATE), NOW)),
    (restored("one.example"), restore_report(restored("one.example"))),
    (RECOVERED, recovery_report(RECOVERED, NOW)),
    (renewed(), renewal_report(renewed(), NOW)),
    (rotated(), stage_report(rotated(), NOW)),
]


@pytest.mark.parametrize(("plan", "report"), SHOWN, ids=[plan.procedure for plan, _ in SHOWN])
def test_a_plan_is_worded_as_on_the_command_line(plan: Plan, report: Report) -> None:
    kept = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    words = plan_words(kept, NOW)
    assert words == render(report, Format.TEXT)
    run = RunRecord(id="run-1", procedure=plan.procedure, cluster="c", plan=kept, started_at=NOW)
    page = export_page(RunPicture(run).still(), {}, ()).decode()
    assert escape(words) in page
