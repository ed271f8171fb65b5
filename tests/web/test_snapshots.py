"""Snapshots of a real cluster's etcd on the backups page: looked through and compared, masked."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.etcd.archive import save_into
from shipkeeper.etcd.rpc import Credentials
from shipkeeper.sandbox import names
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World
from tests.web.served import Served, served, tab_of
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


async def test_nothing_is_restored_out_of_a_snapshot(library: Served, snapshot: str) -> None:
    async with tab_of(library) as tab:
        form = {"backup": snapshot, "kinds": ["configmaps"]}
        status, body = await tab.post("/api/backups/plan", {"form": form})
        assert (status, body["reason"]) == (409, "NeedsCommandLine")
        assert "etcd get" in body["hint"]
