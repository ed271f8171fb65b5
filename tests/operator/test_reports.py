"""AccessReports and CertificateReports: looked at once at first, then by their schedules."""

from datetime import UTC, datetime

import msgspec
import pytest

from shipkeeper.engine.finding import Finding, Findings, Severity, Unchecked
from shipkeeper.errors import UsageError
from shipkeeper.kube.resources import CONFIG_MAPS
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.reports import (
    ACCESS_REPORT,
    CERTIFICATE_REPORT,
    ReportSchedule,
    ReportStatus,
)
from shipkeeper.operator.reports.standing import failed, looked, next_look, suspended
from tests.cli.run import run_cli
from tests.nodes.world import World
from tests.operator.harbour import NAMESPACE, Harbour

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MORNINGS = ReportSchedule(cron="0 6 * * *")
PLACE = ObjectRef(namespace=NAMESPACE, name="x")
FOUND = Findings.of(
    "access",
    [
        Finding(rule="Wild", severity=Severity.HIGH, target="ClusterRole a", message="all"),
        Unchecked(what="Secrets", why="not allowed to list secrets"),
    ],
)


def condition(status: ReportStatus, type_: str) -> str:
    return next(each.status for each in status.conditions if each.type == type_)


def test_the_first_look_is_at_once_and_a_missed_one_is_made_up_for_once() -> None:
    assert next_look(MORNINGS, None, NOON).is_due
    today = next_look(MORNINGS, NOON.replace(hour=6, minute=1), NOON)
    assert (today.is_due, today.at) == (False, datetime(2026, 11, 27, 6, tzinfo=UTC))
    days_ago = next_look(MORNINGS, datetime(2026, 11, 20, 6, tzinfo=UTC), NOON)
    assert days_ago.is_due
    assert days_ago.at == datetime(2026, 11, 26, 6, tzinfo=UTC)


def test_a_look_by_a_clock_that_was_ahead_says_nothing() -> None:
    assert next_look(MORNINGS, NOON.replace(year=2027), NOON).is_due
    assert not next_look(MORNINGS, NOON.replace(second=30), NOON).is_due


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="no time zone"):
        next_look(ReportSchedule(cron="0 6 * * *", time_zone="Europe/Atlantis"), None, NOON)
    with pytest.raises(UsageError, match="bad cron"):
        next_look(ReportSchedule(cron="0 26 * * *"), None, NOON)


@pytest.mark.parametrize(
    ("fail_on", "phase"), [("critical", "Clean"), ("high", "Findings"), ("never", "Clean")]
)
def test_it_is_clean_below_what_it_fails_on(fail_on: str, phase: str) -> None:
    status = looked(ReportStatus(), 3, FOUND, fail_on, None, PLACE, NOON)
    assert status.phase == phase
    assert condition(status, "Clean") == str(phase == "Clean")
    assert status.found.high == 1
    assert (status.found.unchecked, "1 thing could not be" in status.message) == (1, True)
    assert status.worst[0].rule == "Wild"


def test_what_could_not_be_read_is_no_pass() -> None:
    gap = Unchecked(what="What Role objects tell", why="forbidden", is_gap=True)
    unread = msgspec.structs.replace(FOUND, unchecked=(gap,))
    status = looked(ReportStatus(), 3, unread, "critical", None, PLACE, NOON)
    assert (status.phase, condition(status, "Clean")) == ("Incomplete", "Unknown")
    assert looked(ReportStatus(), 3, unread, "high", None, PLACE, NOON).phase == "Findings"


def test_a_look_that_fails_keeps_what_was_known() -> None:
    before = looked(ReportStatus(), 1, FOUND, "high", None, PLACE, NOON)
    error = UsageError("away", reason="Unreachable", hint="wait")
    status = failed(before, 1, error, NOON, failing="Checked")
    assert status.phase == "Failed"
    assert status.worst == before.worst
    assert condition(status, "Checked") == "False"
    assert condition(status, "Clean") == "False"
    assert suspended(status, 2).phase == "Suspended"


async def test_reports_say_what_the_commands_say(world: World, harbour: Harbour) -> None:
    await harbour.set_up(allowed=("access-reports", "certificate-reports"))
    harbour.start()
    never = {"schedule": {"cron": "0 0 29 2 *"}}
    await harbour.create(ACCESS_REPORT, "access", never)
    await harbour.create(CERTIFICATE_REPORT, "certs", never)
    for kind, name in ((ACCESS_REPORT, "access"), (CERTIFICATE_REPORT, "certs")):
        await harbour.kubectl(
            "wait", "--for=condition=Checked", f"{kind.plural}/{name}", "--timeout=400s"
        )
    seen = await harbour.reader.get(ACCESS_REPORT.resource, "access")
    status = msgspec.json.decode(seen.status, type=ReportStatus)
    said = await run_cli(world.sandbox, "access", "audit", "--fail-on=never", "-o", "json")
    findings = msgspec.json.decode(said.stdout)["findings"]
    counts = {"high": status.found.high, "critical": status.found.critical}
    for severity, count in counts.items():
        assert count == sum(each["severity"] == severity for each in findings)
    assert status.report_in is not None
    kept = await harbour.reader.get(CONFIG_MAPS, status.report_in.name, NAMESPACE)
    assert "access audit of live" in kept.data["report.txt"]
    shown = await harbour.kubectl("get", "accessreports,certificatereports")
    assert "PHASE" in shown


async def test_what_may_not_be_read_is_never_passed(world: World, harbour: Harbour) -> None:
    for binding in ("access-reports", "certificate-reports"):
        name = f"shipkeeper-operator-{binding}"
        await harbour.kubectl("delete", "clusterrolebinding", name, "--ignore-not-found")
    harbour.start()
    never = {"schedule": {"cron": "0 0 29 2 *"}}
    await harbour.create(ACCESS_REPORT, "blind", never)
    await harbour.kubectl("wait", "--for=condition=Checked", "ar/blind", "--timeout=400s")
    seen = await harbour.reader.get(ACCESS_REPORT.resource, "blind")
    status = msgspec.json.decode(seen.status, type=ReportStatus)
    assert status.found.unchecked > 0
    assert "could not be looked at" in status.message
    assert (status.phase, condition(status, "Clean")) == ("Incomplete", "Unknown")
