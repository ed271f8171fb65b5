"""Steps of a recovery on hosts that are folders of this machine."""

import asyncio
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from shipkeeper.engine.action import StepRecord
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Event, Note, quiet
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.files import new_private_file
from shipkeeper.etcd.recover import programs
from shipkeeper.etcd.recover.plan import RecoverOutlook, Site
from shipkeeper.etcd.recover.steps import Bench, recovery_actions
from shipkeeper.hosts.errors import HostError
from shipkeeper.hosts.host import Answer, Feed, Take
from tests.etcd import databases
from tests.etcd.databases import written

STEP = Step(id="x", action="x", target="etcd/cluster", effect="x")
URL = "https://10.0.0.{}:2380"


class Folders:
    """A host whose programs run here; `arrived` is called after each file that came."""

    def __init__(self, name: str, arrived: Callable[[], object]) -> None:
        self.name = name
        self._arrived = arrived

    @asynccontextmanager
    async def session(self) -> AsyncGenerator["Folders"]:
        yield self

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        process = await asyncio.create_subprocess_exec(
            "sh", "-s", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, errors = await process.communicate(program.encode())
        output(out)
        return Answer(exit_code=process.returncode or 0, errors=errors.decode())

    async def stream(self, program: str, output: Take, feed: Feed | None = None) -> Answer:
        given = b"".join([chunk async for chunk in feed.chunks]) if feed else b""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = await process.communicate(given)
        await output(out)
        self._arrived()
        return Answer(exit_code=process.returncode or 0, errors=errors.decode())


def snapshot(value: bytes) -> bytes:
    database = databases.of(written(2, "/registry/pods/ns/a", value))
    return database + hashlib.sha256(database).digest()


def bench(folder: Path, arrived: Callable[[], object] = lambda: None) -> Bench:
    file = folder / "snapshot.db"
    file.write_bytes(snapshot(b"first"))
    names = ("cp1", "cp2")
    (folder / "run").mkdir()
    return Bench(
        hosts={name: Folders(name, arrived) for name in names},
        outlook=RecoverOutlook(
            sites=tuple(
                Site(
                    host=name,
                    name=name,
                    peer_urls=(URL.format(name[-1]),),
                    manifest="",
                    old_data=str(folder / f"{name}-old"),
                    new_data=str(folder / f"{name}-new"),
                    health_host="",
                    health_port=0,
                    was_healthy=True,
                )
                for name in names
            ),
            aside=str(folder / "aside"),
            token="t",
            initial_cluster=",".join(f"{name}={URL.format(name[-1])}" for name in names),
        ),
        snapshot=file,
        skip_hash_check=False,
        sha256=file.read_bytes()[-32:].hex(),
        timeout=5,
        directory=folder / "run",
        tell=quiet,
    )


# These steps look at no record.
NO_RECORD: StepRecord = None  # pyright: ignore[reportAssignmentType]


async def perform(bench: Bench, action: str) -> None:
    await recovery_actions(bench)[action].perform(STEP, NO_RECORD)


async def test_all_members_are_made_of_one_snapshot(tmp_path: Path) -> None:
    def replaced() -> None:
        # As a timer does that saves one under the same name each night.
        (tmp_path / "next").write_bytes(snapshot(b"second"))
        (tmp_path / "next").replace(tmp_path / "snapshot.db")

    with pytest.raises(EtcdError, match="another snapshot by now"):
        await perform(bench(tmp_path, replaced), "stage")
    assert not (tmp_path / "cp2-new").exists()


async def test_members_are_staged(tmp_path: Path) -> None:
    await perform(bench(tmp_path), "stage")
    assert all((tmp_path / f"{name}-new/member/snap/db").exists() for name in ("cp1", "cp2"))


@contextmanager
def room(size: int) -> Generator[None]:
    """Let no file of this process become larger: the kernel then writes what still fits."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_no_room_for_an_old_database_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    made = bench(tmp_path)
    for site in made.outlook.sites:
        database = Path(site.old_data) / "member/snap/db"
        database.parent.mkdir(parents=True)
        database.write_bytes(b"x" * 5000)
    with room(3000), pytest.raises(EtcdError, match="cannot write"):
        await perform(made, "save")
    assert list((tmp_path / "run").iterdir()) == []
    await perform(made, "save")
    saved = (tmp_path / "run/before-cp1.db").read_bytes()
    assert (saved[:-32], saved[-32:]) == (b"x" * 5000, hashlib.sha256(b"x" * 5000).digest())


async def test_only_a_certain_absence_lets_an_old_database_go_unsaved(tmp_path: Path) -> None:
    told: list[Event] = []
    made = msgspec.structs.replace(bench(tmp_path), tell=told.append)
    await perform(made, "save")
    assert sorted(each.message for each in told if isinstance(each, Note)) == [
        f"{name} has no old database to save: cat: {tmp_path}/{name}-old/member/snap/db: "
        "No such file or directory"
        for name in ("cp1", "cp2")
    ]
    # What is there and cannot be read stands for every error of a disk, and every refusal.
    (tmp_path / "cp2-old/member/snap/db").mkdir(parents=True)
    with pytest.raises(EtcdError, match="cp2: the old database cannot be read, so it is not saved"):
        await perform(made, "save")
    assert list((tmp_path / "run").iterdir()) == []


def test_half_a_write_is_an_error(tmp_path: Path) -> None:
    with (
        new_private_file(tmp_path / "file") as file,
        room(3000),
        pytest.raises(OSError, match="too large"),
    ):
        file.write(b"x" * 5000)


class Answering:
    """A host that carries out nothing; it tells which programs it was given."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.programs: list[str] = []
        self._is_there = is_there

    @asynccontextmanager
    async def session(self) -> AsyncGenerator["Answering"]:
        if not self._is_there:
            raise HostError("cp2: connection refused", reason="Unreachable")
        yield self

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        self.programs.append(program)
        return Answer(exit_code=0, errors="")


async def test_a_host_that_is_away_keeps_no_other_from_the_way_back(tmp_path: Path) -> None:
    there = Answering()
    hosts = {"cp1": there, "cp2": Answering(is_there=False)}
    made = msgspec.structs.replace(bench(tmp_path), hosts=hosts)
    with pytest.raises(HostError, match="cp2"):
        await recovery_actions(made)["prepare"].undo(STEP, NO_RECORD)
    said = "\n".join(there.programs)
    for program in (
        programs.stop_new(made.outlook.aside),
        programs.put_back(programs.ETCD, made.outlook.aside),
        programs.put_back(programs.API_SERVER, made.outlook.aside),
        programs.await_api_server(),
    ):
        assert program in said
    # The next attempt needs what was brought.
    assert programs.clear(made.outlook.aside) not in said


def on_host(program: str) -> "subprocess.CompletedProcess[str]":
    words = ["sh", "-c", programs.patient(program, 2)]
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(words, env={"PATH": tools}, capture_output=True, text=True, check=False)


def test_what_comes_late_from_somebody_who_was_killed_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests, aside = tmp_path / "manifests", tmp_path / "aside"
    monkeypatch.setattr(programs, "MANIFESTS", str(manifests))
    for folder in (manifests, aside):
        folder.mkdir()
    # Of no process that may run here.
    pod, etcd = manifests / "no-such-pod.yaml", manifests / "etcd.yaml"
    pod.write_text("old")
    etcd.write_text("old")
    (aside / "etcd.new").write_text("new")
    stop = programs.stop("no-such-pod", str(aside))
    start = programs.start_new(str(aside))

    assert on_host(stop).returncode == 0
    assert not pod.exists()
    assert on_host(programs.put_back("no-such-pod", str(aside))).returncode == 0
    # Between the manifests' being put back and the end of the way back.
    assert "the old etcd is in use" in on_host(start).stderr
    assert on_host(stop).returncode == 0
    assert on_host(programs.clear(str(aside))).returncode != 0
    assert on_host(programs.put_back("no-such-pod", str(aside))).returncode == 0
    # And after it.
    assert on_host(programs.clear(str(aside))).returncode == 0
    assert on_host(programs.clear(str(aside))).returncode == 0
    assert "was given up" in on_host(stop).stderr
    assert "was given up" in on_host(start).stderr
    assert {each.read_text() for each in (pod, etcd)} == {"old"}
    assert not aside.exists()


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            "metadata: \n  annotations:\n    a: b  # ours\n  name: api\n",
            {"annotations": {"a": "b", "shipkeeper.dev/recovered": "aside"}, "name": "api"},
        ),
        (
            'metadata:\n  annotations:\n    shipkeeper.dev/recovered: "before"\n  name: api\n',
            {"annotations": {"shipkeeper.dev/recovered": "aside"}, "name": "api"},
        ),
        # Written in a way of its own, it is put back as it is.
        ("metadata: {name: api}\n", {"name": "api"}),
        ("metadata:\n    name: api\n", {"name": "api"}),
        (
            "metadata:\n  annotations: {a: b}\n  name: api\n",
            {"annotations": {"a": "b"}, "name": "api"},
        ),
        (
            "metadata:\n  annotations:\n      a: b\n  name: api\n",
            {"annotations": {"a": "b"}, "name": "api"},
        ),
    ],
)
def test_the_api_server_is_another_pod_to_its_kubelet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, expected: dict[str, object]
) -> None:
    manifests, aside = tmp_path / "manifests", tmp_path / "aside"
    monkeypatch.setattr(programs, "MANIFESTS", str(manifests))
    for folder in (manifests, aside):
        folder.mkdir()
    kept, manifest = aside / "kube-apiserver.yaml", manifests / "kube-apiserver.yaml"
    rest = "spec:\n  # A comment.\n  containers: []\n"
    kept.write_text(f"apiVersion: v1\nkind: Pod\n{metadata}{rest}")
    kept.chmod(0o640)
    for _ in range(2):
        done = on_host(programs.start_api_server(str(aside)))
        assert done.returncode == 0, done.stderr
    text = manifest.read_text()
    assert msgspec.yaml.decode(text)["metadata"] == expected
    assert text.endswith(rest)
    assert ("# ours" in text) == ("# ours" in metadata)
    assert manifest.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.rglob("*.*")] == ["kube-apiserver.yaml"]
