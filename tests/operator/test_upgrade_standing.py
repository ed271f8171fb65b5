"""How a ClusterUpgrade is told to stand before it has a run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.finding import Finding, Findings, Severity
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.model.version import Version
from shipkeeper.operator.api.upgrades import ClusterUpgradeSpec, ClusterUpgradeStatus
from shipkeeper.operator.shown import ShownPlan
from shipkeeper.operator.upgrades.look import Look
from shipkeeper.operator.upgrades.standing import has_ended, looked, looked_at, rejected, unseen
from shipkeeper.upgrade.versions import ClusterVersions

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
AGREED = "0123456789abcdef0123456789abcdef"
APPROVAL = f'kubectl patch cu up --type merge -p \'{{"spec":{{"approvedPlan":"{AGREED}"}}}}\''
AWAIT = Step(id="cluster/await-1", action="await", target="cluster", effect="it is there")
SKEW = Verdict(
    target="cluster",
    effect=Effect.BLOCK,
    reason="KubeletTooOld",
    message="a kubelet is too old",
    remedy="upgrade it first",
)
FOUND = Findings.of(
    "upgrade",
    [Finding(rule="RemovedApi", severity=Severity.HIGH, target="Ingress a/b", message="it ends")],
)
NOTHING = Findings.of("upgrade", [])


def stands(
    *steps: Step,
    verdicts: tuple[Verdict, ...] = (),
    findings: Findings = NOTHING,
    busy: str = "",
    **spec: Any,
) -> ClusterUpgradeStatus:
    """The status after a look."""
    look = Look(
        at=NOON,
        target=Version.parse("v1.37.2"),
        versions=ClusterVersions(server="v1.36.3", components=()),
        findings=findings,
        plan=Plan(procedure="upgrade", request={}, steps=steps, verdicts=verdicts),
        agreed=AGREED,
        busy=busy,
    )
    asked = msgspec.convert({"to": "v1.37", **spec}, ClusterUpgradeSpec)
    return looked(ClusterUpgradeStatus(), "up", 2, asked, look, ShownPlan(), (), NOON)


@pytest.mark.parametrize(
    ("status", "phase", "said"),
    [
        (stands(), "Succeeded", "everything is v1.37.2 already"),
        (stands(AWAIT), "Planned", "shipkeeper upgrade run --to v1.37.2"),
        (stands(AWAIT, wait={}), "AwaitingApproval", APPROVAL),
        (stands(AWAIT, wait={}, approvedPlan="f" * 32), "AwaitingApproval", "another by now"),
        (stands(AWAIT, wait={}, approvedPlan=AGREED), "Waiting", "about to begin"),
        (stands(AWAIT, wait={}, approvedPlan=AGREED, paused=True), "Paused", "spec.paused"),
        (stands(AWAIT, busy="a", wait={}, approvedPlan=AGREED), "Waiting", "a is under way"),
        (stands(verdicts=(SKEW,), wait={}), "Blocked", "too old (upgrade it first)"),
        (stands(AWAIT, findings=FOUND, wait={}), "Blocked", "1 finding of severity high or worse"),
        (stands(AWAIT, findings=FOUND, wait={}, failOn="critical"), "AwaitingApproval", "kubectl"),
        (stands(AWAIT, findings=FOUND), "Planned", "shipkeeper upgrade run"),
    ],
)
def test_what_it_takes_now_is_said(status: ClusterUpgradeStatus, phase: str, said: str) -> None:
    assert status.phase == phase
    assert said in status.message
    assert has_ended(status, 2) == (phase == "Succeeded")


def test_one_that_is_there_is_looked_at_anew_for_another_target() -> None:
    assert not has_ended(stands(), 3)


def test_a_look_that_fails_keeps_what_was_found_and_is_made_again() -> None:
    before = stands(AWAIT, findings=FOUND, wait={})
    assert looked_at(before, 2, NOON) == NOON
    assert looked_at(before, 3, NOON) is None
    assert looked_at(before, 2, NOON - timedelta(hours=1)) is None
    error = ShipkeeperError("away", reason="Unreachable", hint="wait")
    status = unseen(before, 2, error, NOON)
    assert (status.phase, status.message) == ("Waiting", "away (wait)")
    assert status.worst == before.worst
    assert looked_at(status, 2, NOON) is None


def test_what_was_refused_is_looked_at_once_it_is_mended() -> None:
    status = rejected(stands(AWAIT, wait={}), 3, "WindowNotFound", "there is none", NOON)
    assert (status.phase, status.plan_hash) == ("Pending", "")
    assert looked_at(status, 3, NOON) is None
