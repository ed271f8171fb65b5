"""Every output format of the upgrade's nouns, word for word."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shipkeeper.engine.exchange import junit, sarif
from shipkeeper.engine.finding import Finding, Findings, Passed, Severity, Unchecked
from shipkeeper.engine.findings_report import findings_report
from shipkeeper.engine.journal import Entry, Outcome, Phase, RunRecord
from shipkeeper.engine.report import Format, Report, render
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.plan_report import upgrade_report
from shipkeeper.upgrade.status import standing_of, status_report
from shipkeeper.upgrade.versions import violations
from shipkeeper.upgrade.versions_report import versions_report
from tests.cli.golden import assert_golden
from tests.upgrade.test_plan import NOW, cluster, node, planned

VERSIONS = cluster("v1.36.3", "cp1", "cp2", "w1", kubelet="v1.32.9")
PLAN, _ = planned(cluster("v1.36.6", "cp1", "w1"), "v1.37.2", node("cp1"), node("w1"))
RECORD = RunRecord(
    id="upgrade-1",
    procedure="upgrade",
    cluster="c2a1f0de-0000-4000-8000-000000000000",
    plan=PLAN,
    started_at=NOW,
    finished_at=NOW + timedelta(minutes=2),
    outcome=Outcome.FAILED,
)


def entry(step: str, phase: Phase, **detail: str) -> Entry:
    return Entry(
        run=RECORD.id,
        step=step,
        phase=phase,
        item="",
        detail=detail,
        written_at=datetime(2026, 11, 26, 0, 1, tzinfo=UTC),
    )


ENTRIES = [
    entry("cp1/preflight", Phase.BEFORE),
    entry("cp1/preflight", Phase.AFTER),
    entry("cp1/snapshot", Phase.BEFORE),
    entry("cp1/snapshot", Phase.BEFORE, saved="/runs/a.db (revision 7, sha256 checked)"),
    entry("cp1/snapshot", Phase.AFTER),
    entry("cp1/kubeadm-1", Phase.BEFORE),
    entry("cp1/kubeadm-1", Phase.FAILED, reason="CommandFailed", message="E: no such version"),
]
FOUND = Findings(
    subject="upgrade from v1.20.2 to v1.25",
    findings=(
        Finding(
            rule="RemovedApi",
            severity=Severity.HIGH,
            target="Ingress shop/<web> (extensions/v1beta1)",
            message="1.22 no longer serves extensions/v1beta1 Ingress",
            evidence=("deploy/web.yaml:3 has it as extensions/v1beta1",),
            who=("deploy/web.yaml",),
            remedy='use "networking.k8s.io/v1" Ingress',
            place="deploy/web.yaml:3",
        ),
        Finding(
            rule="DeprecatedApi",
            severity=Severity.LOW,
            target="HorizontalPodAutoscaler shop/web (autoscaling/v2beta2)",
            message="is deprecated in the target: autoscaling/v2beta2 HorizontalPodAutoscaler",
            evidence=("last applied as autoscaling/v2beta2 (kubectl's annotation)",),
        ),
    ),
    unchecked=(Unchecked(what="members of etcd", why="only etcd itself tells of learners"),),
    passed=(Passed(rule="RemovedFlag"),),
)
REPORTS: dict[str, Report] = {
    "upgrade-versions": versions_report(
        VERSIONS, violations(VERSIONS), catalog(), date(2026, 11, 26)
    ),
    "upgrade-plan": upgrade_report(PLAN, NOW),
    "upgrade-status": status_report(standing_of(RECORD, ENTRIES, is_running=False)),
    "upgrade-check": findings_report(FOUND),
}


@pytest.mark.parametrize("format_", list(Format))
@pytest.mark.parametrize("noun", list(REPORTS))
def test_output(noun: str, format_: Format) -> None:
    assert_golden(f"{noun}.{format_}", render(REPORTS[noun], format_))


def test_other_tools_formats() -> None:
    assert_golden("upgrade-check.sarif", sarif(FOUND, "0"))
    assert_golden("upgrade-check.junit", junit(FOUND))
