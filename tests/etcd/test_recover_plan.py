"""Plans of recoveries: what they say, and what they refuse. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, render
from shipkeeper.errors import UsageError
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.recover.manifest import edit_manifest
from shipkeeper.etcd.recover.plan import Seen, outlook_of, plan_recovery
from shipkeeper.etcd.recover.report import recovery_report
from tests.cli.golden import assert_golden

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
REQUEST: dict[str, Any] = {
    "snapshot": "/backup/etcd.db",
    "sha256": "ab" * 32,
    "hosts": ["10.0.0.1", "10.0.0.2"],
    "skipHashCheck": False,
    "timeout": 180.0,
}
MANIFEST = """\
apiVersion: v1
kind: Pod
spec:  # ours
  containers:
  - command:
    - etcd
    - --name=NAME
    - --data-dir=/var/lib/etcd
    - --initial-advertise-peer-urls=https://ADDRESS:2380
    - --initial-cluster=a=https://10.0.0.1:2380,b=https://10.0.0.2:2380
    - --listen-metrics-urls=http://127.0.0.1:2381
    name: etcd
    volumeMounts:
    - {mountPath: /var/lib/etcd, name: data}
  volumes:
  - hostPath:
      path: /var/lib/etcd  # the disk
    name: data
"""


def seen(name: str, number: int, **wishes: Any) -> Seen:
    address = f"10.0.0.{number}"
    manifest = MANIFEST.replace("NAME", name).replace("ADDRESS", address)
    given: dict[str, Any] = {
        "host": address,
        "manifest": manifest,
        "free": 10 << 30,
        "is_healthy": number == 1,
    }
    return Seen(**{**given, **wishes})


def plan(*found: Seen, size: int = 1 << 20, now: datetime = NOW) -> Plan:
    return plan_recovery(found, REQUEST, size, now)


@pytest.mark.parametrize("format_", list(Format))
def test_the_plan(format_: Format) -> None:
    report = recovery_report(plan(seen("a", 1), seen("b", 2)), NOW)
    assert_golden(f"etcd-recover.{format_}", render(report, format_))


def test_up_to_the_point_of_no_return_every_step_takes_all_before_it_back() -> None:
    steps = plan(seen("a", 1), seen("b", 2)).steps
    names = [step.id for step in steps]
    end = names.index("start-apiserver")
    for number, step in enumerate(steps):
        before = tuple(reversed(names[:number])) if number < end else ()
        assert step.rollback == before
        assert step.after == tuple(names[max(number - 1, 0) : number])


def bump(now: datetime) -> int:
    return outlook_of(plan(seen("a", 1), now=now)).bump_revision


@pytest.mark.parametrize("snapshot", [1_000, 10**9, 10**12])
def test_no_revision_that_was_seen_before_comes_again(snapshot: int) -> None:
    latest, later = 0, NOW
    for _ in range(3):
        revision = snapshot + bump(later)
        assert revision > latest
        latest = revision + 60 * 5_000
        later += timedelta(minutes=1)


def test_a_clock_that_was_ahead_leaves_nothing_to_pass() -> None:
    ahead = 1_000 + bump(NOW + timedelta(hours=2))
    # A snapshot of the cluster that came of it is recovered by a right clock, much having happened.
    assert ahead + bump(NOW) > ahead + 10**9
    assert bump(datetime(1970, 1, 1, tzinfo=UTC)) == 10**9


def test_every_member_must_be_named_and_have_room() -> None:
    (left_out,) = plan(seen("a", 1)).blockers
    assert (left_out.target, left_out.reason) == ("member/b", "MemberLeftOut")
    (full,) = plan(seen("a", 1), seen("b", 2, free=1 << 20)).blockers
    assert (full.target, full.reason) == ("host/10.0.0.2", "NoRoom")
    with pytest.raises(UsageError, match="same name"):
        plan(seen("a", 1), seen("a", 2))


def test_health_must_be_readable() -> None:
    blind = seen("a", 1).manifest.replace("--listen-metrics-urls=http:", "--x=http:")
    with pytest.raises(UsageError, match="listen-metrics-urls"):
        plan(seen("a", 1, manifest=blind), seen("b", 2))


def test_two_lines_of_a_manifest_change() -> None:
    edited = edit_manifest(MANIFEST, "/var/lib/etcd-1", "t1")
    changed = [line for line in edited.splitlines() if line not in MANIFEST.splitlines()]
    assert changed == [
        "    - --initial-cluster-token=t1",
        "      path: /var/lib/etcd-1  # the disk",
    ]
    again = edit_manifest(edited, "/var/lib/etcd-2", "t2")
    assert again == edited.replace("etcd-1", "etcd-2").replace("=t1", "=t2")


def test_a_manifest_that_cannot_be_edited_is_refused() -> None:
    folded = MANIFEST.replace(
        "hostPath:\n      path: /var/lib/etcd  # the disk", "hostPath: {path: /var/lib/etcd}"
    )
    with pytest.raises(EtcdError, match="cannot be told"):
        edit_manifest(folded, "/var/lib/etcd-1", "t1")
