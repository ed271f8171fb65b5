"""What the etcd commands print, word for word. Pure."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipkeeper.engine.report import Format, Report, render
from shipkeeper.etcd.bolt.database import Database
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.browse_report import (
    changes_report,
    counts_report,
    found_report,
    history_report,
)
from shipkeeper.etcd.comparing import compare
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.health import assess
from shipkeeper.etcd.health_report import health_report
from shipkeeper.etcd.members import NO_SPACE, Alarm, Member, Observed, State
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.etcd.status import read_status
from shipkeeper.etcd.status_report import FORMS, SERIES, as_tool_prints, status_report
from tests.cli.golden import assert_golden
from tests.etcd.databases import deleted, of, written
from tests.etcd.world import run

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
OBJECT = '{"apiVersion":"%s","kind":"%s","metadata":{"name":"%s"},"data":{"n":"%d"}}'


def stored(main: int, key: str, api_version: str, kind: str, number: int) -> tuple[bytes, bytes]:
    value = OBJECT % (api_version, kind, key.rpartition("/")[2], number)
    return written(main, f"/registry/{key}", value.encode())


OLD = (
    stored(2, "configmaps/shop/prices", "v1", "ConfigMap", 1),
    stored(3, "configmaps/shop/prices", "v1", "ConfigMap", 2),
    stored(4, "example.com/widgets/shop/blue", "example.com/v1", "Widget", 3),
    stored(5, "namespaces/shop", "v1", "Namespace", 4),
    stored(6, "secrets/shop/key", "v1", "Secret", 5),
)
NEW = (
    *OLD,
    deleted(7, "/registry/configmaps/shop/prices"),
    stored(8, "configmaps/till/prices", "v1", "ConfigMap", 6),
    stored(9, "secrets/shop/key", "v1", "Secret", 7),
)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Report]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, entries in (("old.db", OLD), ("new.db", NEW)):
        (tmp_path / name).write_bytes(of(*entries))
    with open_snapshot(tmp_path / "old.db") as first, open_snapshot(tmp_path / "new.db") as second:
        old, new = Browser(first, Keys(), 30), Browser(second, Keys(), 30)
        moments = new.history(b"/registry/configmaps/shop/prices")
        return {
            "ls": counts_report(new.counts()),
            "ls-secrets": found_report(new.find("secrets")),
            "history": history_report("configmap", "prices", moments),
            "diff": changes_report(list(compare(old, new))),
            "status": status_report("new.db", read_status(second.database()), "NotChecked"),
            "health": health_report(OBSERVED, assess(OBSERVED, NOW), NOW),
        }


def state(number: int, **wishes: object) -> State:
    given: dict[str, object] = {
        "endpoint": f"https://10.0.0.{number}:2379",
        "member": number,
        "cluster": 7,
        "version": "3.6.1",
        "revision": 900,
        "leader": 1,
        "index": 5000,
        "applied": 5000,
        "db_size": 500 << 20,
        "in_use": 400 << 20,
        "quota": 2 << 30,
    }
    return State(**{**given, **wishes})  # pyright: ignore[reportArgumentType]


OBSERVED = Observed(
    states=(
        state(1),
        state(2, in_use=100 << 20, applied=3000),
        state(3, is_learner=True, version="3.6.0"),
        State(endpoint="https://10.0.0.4:2379", failure="cannot connect to https://10.0.0.4:2379"),
    ),
    members=tuple(
        Member(
            id=number,
            name=f"m{number}",
            peer_urls=(f"https://10.0.0.{number}:2380",),
            client_urls=(f"https://10.0.0.{number}:2379",),
            is_learner=number == 3,
        )
        for number in range(1, 5)
    ),
    alarms=(Alarm(member=2, kind=NO_SPACE),),
    certificate_expires="2026-12-01T00:00:00+00:00",
)


@pytest.mark.parametrize("format_", list(Format))
def test_reports(reports: dict[str, Report], format_: Format) -> None:
    for name, report in reports.items():
        assert_golden(f"etcd-{name}.{format_}", render(report, format_))


def test_status_as_the_tools_print_it() -> None:
    data = of(*NEW)
    status = read_status(Database(data, len(data)))
    shown = [
        f"# {series} -w {form}\n{as_tool_prints(status, form, series)}\n"
        for series in SERIES
        for form in FORMS
    ]
    assert_golden("etcd-status.tools", "\n".join(shown))


@pytest.mark.parametrize("output", ["yaml", "json", "name"])
def test_one_object(tmp_path: Path, output: str) -> None:
    file = tmp_path / "new.db"
    file.write_bytes(of(*NEW))
    got = run("get", str(file), "secret/key", "-n", "shop", "-o", output)
    assert_golden(f"etcd-get.{output}", got.stdout)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    file.write_bytes(of(*NEW))
    said = [
        run("get", str(file), *words).stderr
        for words in (
            ("secret/none", "-n", "shop"),
            ("gadget/key", "-n", "shop"),
            ("configmap/prices", "-n", "shop"),
            ("configmap/prices", "-n", "shop", "--revision=1"),
            ("secret",),
        )
    ]
    said.append(run("ls", str(file), "gadgets").stderr)
    said.append(run("verify", str(file)).stderr.replace(str(tmp_path), "/backup"))
    said.append(run("ls", "/no/such/file").stderr)
    assert_golden("etcd-errors.text", "".join(said))


def test_a_dry_restore(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    file.write_bytes(of(*NEW))
    words = ("--skip-hash-check", "--data-dir=/no/such/data", "--dry-run=client")
    done = run("restore", str(file), *words)
    assert_golden("etcd-restore.text", done.stdout + done.stderr)
