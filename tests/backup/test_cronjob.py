"""A schedule as manifests and units: real API servers and systemd read them as they are meant."""

import asyncio
import json
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.backup.cronjob import CronJobOptions, as_text, documents
from shipkeeper.backup.schedule import Schedule
from shipkeeper.backup.systemd import UnitOptions, calendar_of, units
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.model.cron import parse_schedule
from shipkeeper.model.version import Version
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup.cluster import Cluster, fresh, manifest
from tests.cli.golden import assert_golden
from tests.nodes.test_windows import PATTERNS, Pattern, utc
from tests.nodes.world import options_of

KUBECTL = Path(sys.executable).parent / "kubectl"
NIGHTLY = Schedule(cron=parse_schedule("0 3 * * *", "Europe/Berlin"))
WORDS = ("backup", "schedule", "0 3 * * *", "Europe/Berlin", "--once", "--repo=s3://b/prod")


def options(version: str, namespace: str = "shipkeeper", **others: str) -> CronJobOptions:
    return CronJobOptions(
        version=Version.parse(version),
        image="registry.example.com/shipkeeper:1",
        name="shipkeeper-backup",
        namespace=namespace,
        key_secret="shipkeeper-backup-key",
        **others,
    )


@pytest.mark.parametrize("version", ["1.20.2", "1.26.1", "1.37.2"])
def test_golden_manifests(version: str) -> None:
    found = documents(
        NIGHTLY, WORDS, timedelta(days=1), options(version, store_secret="shipkeeper-backup-s3")
    )
    assert_golden(f"schedule-cronjob-{version}.yaml", as_text(found))


def test_golden_manifests_with_volumes() -> None:
    words = (*WORDS, "--volumes=all", "--hosts=pod")
    found = documents(NIGHTLY, words, timedelta(days=1), options("1.37.2", pods_in="kube-system"))
    assert_golden("schedule-cronjob-volumes.yaml", as_text(found))


async def test_the_server_takes_them(sandbox: Sandbox) -> None:
    name = fresh("emitted")
    async with connect(options_of(sandbox)) as connection:
        cluster = Cluster(connection)
        version = str(await cluster.reader.version())
        chosen = options(version, name, store_secret="s3", state_claim="state", pods_in="x")
        found = documents(NIGHTLY, WORDS, timedelta(days=1), chosen)
        manifests = {each.manifest["kind"]: each.manifest for each in found}
        # Where nothing but restricted pods may run.
        labels = {
            f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")
        }
        await cluster.create(manifest("v1 Namespace", name, meta={"labels": labels}))
        done = await asyncio.to_thread(
            subprocess.run,
            [KUBECTL, "create", "--dry-run=server", "--validate=true", "-o", "json", "-f", "-"],
            input=as_text(found[1:]),
            env={"KUBECONFIG": str(sandbox.kubeconfig), "HOME": "/nowhere"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # Warnings, of Pod Security Admission for one, are on stderr.
        assert "estricted" not in done.stderr
        # Every field is kept: none is misspelt, or of another version.
        (kept,) = (each for each in documents_in(done.stdout) if each["kind"] == "CronJob")
        assert lacking(manifests["CronJob"], kept) == []
        await cluster.delete(manifest("v1 Namespace", name))


def documents_in(text: str) -> list[dict[str, Any]]:
    """JSON objects that follow each other."""
    found: list[dict[str, Any]] = []
    while text := text.lstrip():
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def lacking(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """The paths of what is in ours and not in theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        named = cast("dict[str, Any]", ours)
        kept = cast("dict[str, Any]", theirs)
        return [p for key in named for p in lacking(named[key], kept.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list):
        both = zip(cast("list[Any]", ours), cast("list[Any]", theirs), strict=True)
        return [p for one, other in both for p in lacking(one, other, f"{path}[]")]
    return [] if ours == theirs else [f"{path}: {ours!r} is {theirs!r}"]


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 3 L * *", "knows no L, W and #"),
        ("0 3 * * 5#2", "knows no L, W and #"),
        ("0 3 * * 5L", "knows no L, W and #"),
        ("0 3 * * 5-7", "knows no weekday 7"),
        ("0 3 */2 * mon", "takes either day"),
        ("0 3 1 * */2", "takes either day"),
    ],
)
def test_what_kubernetes_reads_otherwise_is_refused(cron: str, words: str) -> None:
    odd = Schedule(cron=parse_schedule(cron))
    with pytest.raises(UsageError, match=words):
        documents(odd, WORDS, timedelta(days=1), options("1.37.2"))


def test_golden_units() -> None:
    chosen = Schedule(
        cron=parse_schedule("*/30 1,2 1 * mon-fri", "Europe/Berlin"),
        jitter=timedelta(minutes=5),
        missed="skip",
    )
    command = ("/usr/bin/shipkeeper", *WORDS[:-1], "--repo=/srv/100% $HOME")
    made = units(
        chosen, UnitOptions(name="shipkeeper-backup", command=command, writes=("/srv/x y",))
    )
    assert_golden("schedule-systemd.text", made)


@pytest.mark.parametrize("cron", ["0 3 L * *", "0 3 * * 5#2"])
def test_what_a_timer_cannot_be_told_is_refused(cron: str) -> None:
    with pytest.raises(UsageError, match="a timer cannot follow"):
        calendar_of(Schedule(cron=parse_schedule(cron)))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
@settings(max_examples=25, deadline=None)
@given(PATTERNS, st.integers(0, 10_000))
def test_systemd_reads_the_same_times(pattern: Pattern, start: int) -> None:
    schedule = Schedule(cron=parse_schedule(str(pattern)))
    since = utc("2026-06-01") + timedelta(minutes=start)
    (calendar,) = calendar_of(schedule)
    said = subprocess.run(
        ["systemd-analyze", "calendar", f"--base-time={since:%F %T} UTC", calendar],
        env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (each for each in said.stdout.splitlines() if "Next elapse:" in each)
    found = datetime.strptime(line.partition(":")[2].strip()[4:23], "%Y-%m-%d %H:%M:%S")
    assert found.replace(tzinfo=UTC) == schedule.cron.next(since)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    command = ("/bin/true", *WORDS)
    text = units(NIGHTLY, UnitOptions(name="shipkeeper-backup", command=command))
    service, timer = text.split("\n# /etc/systemd/system/shipkeeper-backup.timer")
    (tmp_path / "shipkeeper-backup.service").write_text(service)
    (tmp_path / "shipkeeper-backup.timer").write_text(timer)
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            *sorted(map(str, tmp_path.iterdir())),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (each for each in service.splitlines() if each.startswith("ExecStart="))
    assert tuple(shlex.split(line.partition("=")[2])) == command
