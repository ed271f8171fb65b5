"""Snapshots of a real cluster's etcd on the backups page: looked through and compared, masked."""

import asyncio
import base64
import json
import tempfile
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

import pytest

from shipkeeper.backup import comparing
from shipkeeper.backup.comparing import Read
from shipkeeper.backup.difference import ObjectChange, compare_objects
from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.selection import Selection
from shipkeeper.etcd.archive import KIND, save_into
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.index import make_index
from shipkeeper.etcd.rpc import Credentials
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.sandbox import names
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup
from shipkeeper.web import snapshots
from shipkeeper.web.snapshots import PREFIX, SnapshotCatalog, open_catalog
from tests.etcd import databases
from tests.etcd.databases import written
from tests.nodes.world import World
from tests.web.served import WITHIN, Served, served, tab_of
from tests.web.test_backups import Kept, ask, kept
from tests.web.test_commands import everything_under
from tests.web.visitors import grant, rule, served_to_all, token_of, visitor

__all__ = ["kept"]

_LATER = "neither-to-be-seen"


async def save(sandbox: Sandbox, place: Place) -> str:
    """A snapshot of the cluster's etcd in the repository; its name there."""
    layout = sandbox.layout
    credentials = Credentials(
        cacert=str(layout.certificate(names.ETCD_CA)),
        cert=str(layout.certificate(names.ETCD_CLIENT)),
        key=str(layout.key(names.ETCD_CLIENT)),
    )
    member = f"https://127.0.0.1:{read_record(layout).ports.etcd}"
    async with open_repository(place) as opened, opened.writing() as writer:
        saved = await save_into(
            [member], credentials, writer, say=lambda _: None, progress=lambda _done, _all: None
        )
    return saved.path.removeprefix("repo:")


@pytest.fixture
async def snapshot(newest: Sandbox, kept: Kept) -> str:
    """What the page calls a snapshot beside the backup."""
    return f"etcd:{await save(newest, kept.place)}"


@pytest.fixture
async def library(newest: Sandbox, kept: Kept, snapshot: str) -> AsyncIterator[Served]:
    """A console that shows the repository."""
    async with served(newest.kubeconfig, place=kept.place) as found:
        yield found


async def change(world: World) -> None:
    """What the snapshot does not know of: another password, and another page."""
    for what, field, value in (
        ("secrets/db", "stringData", {"password": _LATER}),
        ("configmaps/settings", "data", {"page": "another"}),
    ):
        path = f"/api/v1/namespaces/{world.name}/{what}"
        kind = "application/merge-patch+json"
        await world.connection.send("PATCH", path, body={field: value}, content_type=kind)


async def test_a_snapshot_is_listed_and_looked_through(
    library: Served, kept: Kept, snapshot: str
) -> None:
    async with tab_of(library) as tab:
        listed = await ask(tab, "list")
        assert [each["row"]["name"] for each in listed["backups"]] == [kept.name]
        (each,) = listed["snapshots"]
        assert f"etcd:{each['name']}" == snapshot
        assert each["size"] > 0
        assert each["version"]
        world = {"backup": snapshot, "namespace": kept.world.name}
        found = await ask(tab, "objects", kind="configmaps", find="settings", **world)
        assert [each["name"] for each in found["rows"]] == ["settings"]
        assert {"secrets", "namespaces", "clusterroles.rbac.authorization.k8s.io"} <= {
            each["name"] for each in (await ask(tab, "objects", backup=snapshot))["kinds"]
        }
        shown = await ask(tab, "object", kind="configmaps", name="settings", **world)
        assert "<script>alert(1)</script>" in shown["yaml"]
        query = urlencode({"backup": snapshot, "kind": "secrets", "name": "none"})
        status, body = await tab.get(f"/api/backups/object?{query}")
        assert (status, body["reason"]) == (404, "NotInBackup")
        for wrong in ("etcd:", "etcd:none", f"etcd:{kept.name}", snapshot.removeprefix("etcd:")):
            status, body = await tab.get(f"/api/backups/objects?{urlencode({'backup': wrong})}")
            assert status == 404, body


async def test_no_answer_holds_what_a_secret_does(
    newest: Sandbox, library: Served, kept: Kept, snapshot: str
) -> None:
    await change(kept.world)
    later = f"etcd:{await save(newest, kept.place)}"
    async with tab_of(library) as tab:
        where = {"namespace": kept.world.name, "kind": "secrets"}
        told = [
            await ask(tab, "object", backup=each, name="db", **where) for each in (snapshot, later)
        ]
        assert all(each["isMasked"] and "password: <hidden>" in each["yaml"] for each in told)
        points = (snapshot, later, kept.name)
        pairs = [(old, new) for old in points for new in (*points, "") if old != new]
        for old, new in pairs:
            found = await ask(tab, "diff", old=old, new=new, **where)
            is_same = {old, new} in ({snapshot, kept.name}, {later, ""})
            names_ = [each["name"] for each in found["changes"]]
            assert names_ == ([] if is_same else ["db"]), (old, new)
            told.append(found)
    text = json.dumps(told)
    for value in ("never-to-be-seen", _LATER):
        assert value not in text
        assert base64.b64encode(value.encode()).decode() not in text


async def test_what_changed_since_is_told_by_field(
    newest: Sandbox, library: Served, kept: Kept, snapshot: str
) -> None:
    await change(kept.world)
    later = f"etcd:{await save(newest, kept.place)}"
    async with tab_of(library) as tab:
        for new in (later, ""):
            found = await ask(
                tab, "diff", old=snapshot, new=new, namespace=kept.world.name, kind="configmaps"
            )
            (changed,) = [each for each in found["changes"] if each["name"] == "settings"]
            (field,) = changed["fields"]
            assert (field["field"], field["new"]) == ("data.page", "another")
        same = await ask(tab, "diff", old=later, new="", namespace=kept.world.name)
        assert same["changes"] == []
        assert same["notCompared"] == {}


CONFIG_MAP = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"n":"%d"}}'


def config_map(number: int, value: int) -> tuple[bytes, bytes]:
    name = f"map-{number}"
    return written(
        number + 2, f"/registry/configmaps/shop/{name}", CONFIG_MAP % (name.encode(), value)
    )


@contextmanager
def catalog_of(
    file: Path, *entries: tuple[bytes, bytes], made: type[SnapshotCatalog] = SnapshotCatalog
) -> Generator[SnapshotCatalog]:
    """A snapshot of an etcd that holds these entries."""
    file.write_bytes(databases.of(*entries))
    with open_snapshot(file) as found:
        yield made(file.name, Browser(found, Keys(), 36, make_index(found)))


@pytest.mark.parametrize("is_old", [True, False])
async def test_what_cannot_be_read_keeps_nothing_else_from_being_compared(
    tmp_path: Path, *, is_old: bool
) -> None:
    broken = written(2, "/registry/configmaps/shop/map-0", b"k8s\0not what was written")
    before = [config_map(number, 1) for number in range(4)]
    after = [config_map(0, 1), config_map(1, 2), config_map(2, 1), config_map(4, 1)]
    (before if is_old else after)[0] = broken
    with (
        catalog_of(tmp_path / "old", *before) as old,
        catalog_of(tmp_path / "new", *after) as new,
    ):
        found = await old.compare(new.side(), Selection(), everything=True)
    assert {each.name: each.change for each in found.changes} == {
        "map-1": "Changed",
        "map-3": "Removed",
        "map-4": "Added",
    }
    assert list(found.not_compared) == ["configmaps shop/map-0"]


async def test_of_many_that_cannot_be_read_the_first_are_named(tmp_path: Path) -> None:
    broken = [
        written(number + 2, f"/registry/configmaps/shop/map-{number}", b"k8s\0nothing")
        for number in range(8)
    ]
    with (
        catalog_of(tmp_path / "old", *broken) as old,
        catalog_of(tmp_path / "new", config_map(9, 1)) as new,
    ):
        found = await old.compare(new.side(), Selection(), everything=True)
    assert [each.name for each in found.changes] == ["map-9"]
    named = [f"configmaps shop/map-{number}" for number in range(5)]
    assert list(found.not_compared) == [*named, "configmaps, 3 more"]


async def test_objects_are_compared_some_at_a_time_and_beside_other_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    compared: list[bool] = []

    class Watched(SnapshotCatalog):
        def read_all(self, stored: Sequence[Any]) -> list[Read]:
            read.append(len(stored))
            return super().read_all(stored)

    def watched(*given: Any) -> ObjectChange | None:
        compared.append(threading.current_thread() is threading.main_thread())
        return compare_objects(*given)

    for module in (comparing, snapshots):
        monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(comparing, "compare_objects", watched)
    before = [config_map(number, 1) for number in range(10)]
    after = [config_map(number, 2) for number in range(20)]
    with (
        catalog_of(tmp_path / "old", *before, made=Watched) as old,
        catalog_of(tmp_path / "new", *after, made=Watched) as new,
    ):
        found = await old.compare(new.side(), Selection(), everything=True)
    assert len(found.changes) == 20
    assert max(read) == 3
    assert compared == [False] * 20


async def test_nobody_sees_in_a_snapshot_what_they_may_not_list(
    newest: Sandbox, kept: Kept, snapshot: str, tmp_path: Path
) -> None:
    reader = await token_of(kept.world, "reader", rule("list", "namespaces,configmaps"))
    nobody = await token_of(kept.world, "nobody")
    secret = {"backup": snapshot, "kind": "secrets", "namespace": kept.world.name, "name": "db"}
    async with served_to_all(newest, tmp_path, place=kept.place) as console:
        async with visitor(console, reader) as tab:
            found = await ask(tab, "objects", backup=snapshot)
            seen = {each["kind"] for each in found["rows"]}
            assert {"configmaps", "namespaces"} <= seen
            # What every ServiceAccount may list, the cluster's own roles say.
            assert seen <= {"configmaps", "namespaces", "clustertrustbundles.certificates.k8s.io"}
            assert "list secrets" in {each["canI"] for each in found["missing"]}
            status, body = await tab.get(f"/api/backups/object?{urlencode(secret)}")
            assert (status, body["reason"]) == (403, "Forbidden")
        async with visitor(console, nobody) as tab:
            query = urlencode({"backup": snapshot})
            status, body = await tab.get(f"/api/backups/objects?{query}")
            assert (status, body["reason"]) == (403, "Forbidden")


async def test_of_other_namespaces_not_even_numbers_are_told(
    newest: Sandbox, kept: Kept, snapshot: str, tmp_path: Path
) -> None:
    world = kept.world
    token = await token_of(world, "tenant", rule("list", "namespaces"))
    tenant = {"kind": "ServiceAccount", "namespace": world.name, "name": "tenant"}
    await grant(world, "within", tenant, rule("list", "configmaps"), namespace=world.name)
    async with (
        served_to_all(newest, tmp_path, place=kept.place) as console,
        visitor(console, token) as tab,
    ):
        found = await ask(tab, "objects", backup=snapshot, namespace=world.name)
        configmaps = [each for each in found["rows"] if each["kind"] == "configmaps"]
        assert {each["name"] for each in found["namespaces"]} == {world.name}
        counts = {each["name"]: each["objects"] for each in found["kinds"]}
        assert counts == {"configmaps": len(configmaps)}
        everywhere = await ask(tab, "objects", backup=snapshot)
        assert not {"configmaps", "secrets"} & {each["name"] for each in everywhere["kinds"]}
        # What is counted is what may be seen, here and there.
        assert found["total"] == everywhere["total"] + found["matching"]


async def test_no_name_outlives_the_console(
    library: Served, snapshot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with tab_of(library) as tab:
        assert (await ask(tab, "objects", backup=snapshot, kind="secrets"))["rows"]
    assert not [each for each in everything_under(tmp_path) if each.suffix == ".index"]


async def test_nobody_waits_for_a_snapshot_but_who_opens_it(
    library: Served, kept: Kept, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_go_on = asyncio.Event(), asyncio.Event()
    fetched: list[str] = []

    async def fetch(repository: Repository, backup: Backup) -> SnapshotCatalog:
        fetched.append(backup.name)
        asked.set()
        await may_go_on.wait()
        return await open_catalog(repository, backup)

    monkeypatch.setattr("shipkeeper.web.library.open_catalog", fetch)
    async with tab_of(library) as tab, tab_of(library) as other, asyncio.timeout(WITHIN):
        waiting = [
            asyncio.create_task(ask(each, "objects", backup=snapshot)) for each in (tab, other)
        ]
        await asked.wait()
        assert (await ask(tab, "objects", backup=kept.name))["rows"]
        form = {"backup": snapshot, "kinds": ["configmaps"]}
        status, body = await tab.post("/api/backups/plan", {"form": form})
        assert (status, body["reason"]) == (409, "NeedsCommandLine")
        assert not any(each.done() for each in waiting)
        may_go_on.set()
        assert all(each["rows"] for each in await asyncio.gather(*waiting))
    assert [f"etcd:{each}" for each in fetched] == [snapshot]


async def test_a_snapshot_that_has_no_room_is_told_so(
    library: Served, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> IO[bytes]:
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    async with tab_of(library) as tab:
        status, body = await tab.get(f"/api/backups/objects?{urlencode({'backup': snapshot})}")
    assert (status, body["reason"]) == (500, "DiskFull")


async def test_what_is_wrong_with_a_repository_is_not_told_of_the_disk(
    kept: Kept, snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("shipkeeper.web.snapshots.fetch", broken)
    async with open_repository(kept.place) as opened:
        backup = await opened.find(snapshot.removeprefix(PREFIX), KIND)
        with pytest.raises(ConnectionResetError):
            await open_catalog(opened, backup)


async def test_nothing_is_restored_out_of_a_snapshot(library: Served, snapshot: str) -> None:
    async with tab_of(library) as tab:
        form = {"backup": snapshot, "kinds": ["configmaps"]}
        status, body = await tab.post("/api/backups/plan", {"form": form})
        assert (status, body["reason"]) == (409, "NeedsCommandLine")
        assert "etcd get" in body["hint"]
