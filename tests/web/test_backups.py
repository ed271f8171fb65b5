"""The backups page: looked through, compared, brought back; Secrets' values are never sent."""

import asyncio
import base64
import contextlib
import json
import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from shipkeeper.backup.archive import Archive, open_archive
from shipkeeper.backup.catalog import Catalog
from shipkeeper.backup.comparing import ArchiveSide
from shipkeeper.backup.opening import Place, create_repository, open_repository
from shipkeeper.backup.restore import prepare
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.take import take
from shipkeeper.engine.journal import Outcome
from shipkeeper.engine.session import cluster_identity, new_run
from shipkeeper.kube.access import Permission, is_permitted
from shipkeeper.kube.bearer import token_kubeconfig, with_token
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import NODES
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.store.errors import BlobMissingError, DamagedError
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import ObjectId
from shipkeeper.web.restore_form import RestoreForm
from tests.nodes.world import World
from tests.web.served import Served, Tab, served, tab_of
from tests.web.test_certificate_login import made, shown
from tests.web.visitors import grant, rule, served_to_all, token_of, visitor

_AROUND = ("apiextensions.k8s.io", "apiregistration.k8s.io", "storage.k8s.io")
_PASSWORD = "never-to-be-seen"


class Kept:
    """A backup of a world with a ConfigMap and a Secret, and where it is kept."""

    def __init__(self, place: Place, name: str, world: World) -> None:
        self.place = place
        self.name = name
        self.world = world
        self.settings = f"/api/v1/namespaces/{world.name}/configmaps/settings"


async def kept_again(place: Place, world: World) -> str:
    """A backup of the world as it is now."""
    chosen = Selection(namespaces=(world.name,))
    async with open_repository(place) as opened, opened.writing() as writer:
        backup, _ = await take(world.connection, writer, chosen, lambda _: None)
    return backup.name


@pytest.fixture
async def kept(world: World, tmp_path: Path) -> Kept:
    space, send = f"/api/v1/namespaces/{world.name}", world.connection.send
    settings = {"metadata": {"name": "settings"}, "data": {"page": "<script>alert(1)</script>"}}
    await send("POST", f"{space}/configmaps", body=settings)
    applied = json.dumps({"stringData": {"password": _PASSWORD}})
    key = "kubectl.kubernetes.io/last-applied-configuration"
    secret = {
        "metadata": {"name": "db", "annotations": {key: applied}},
        "stringData": {"password": _PASSWORD},
    }
    await send("POST", f"{space}/secrets", body=secret)
    place = Place(
        url=str(tmp_path / "repository"),
        key=str(tmp_path / "writer.key"),
        identity=str(tmp_path / "reader.age"),
    )
    await create_repository(place, ())
    return Kept(place, await kept_again(place, world), world)


@pytest.fixture
async def library(newest: Sandbox, kept: Kept) -> AsyncIterator[Served]:
    """A console that shows the repository."""
    async with served(newest.kubeconfig, place=kept.place) as found:
        yield found


async def ask(tab: Tab, what: str, **query: str) -> Any:
    status, body = await tab.get(f"/api/backups/{what}?{urlencode(query)}")
    assert status == 200, body
    return body


async def test_a_backup_is_listed_and_looked_through(library: Served, kept: Kept) -> None:
    async with tab_of(library) as tab:
        (listed,) = (await ask(tab, "list"))["backups"]
        assert listed["row"]["name"] == kept.name
        assert listed["row"]["state"] == "Complete"
        assert {each["kind"]["plural"] for each in listed["row"]["contents"]["kinds"]} >= {
            "secrets"
        }
        assert listed["row"]["contentBytes"] > 0
        assert listed["verifiedAt"] is None
        found = await ask(tab, "objects", backup=kept.name, kind="configmaps", find="settings")
        assert [each["name"] for each in found["rows"]] == ["settings"]
        assert {each["name"] for each in found["namespaces"]} == {kept.world.name}
        shown = await object_of(tab, kept, "configmaps", "settings")
        assert "<script>alert(1)</script>" in shown["yaml"]
        status, body = await tab.get("/api/backups/objects?backup=nonsense")
        assert status == 404, body
        status, body = await tab.get("/api/backups/object?backup=latest&kind=secrets&name=none")
        assert (status, body["reason"]) == (404, "NotInBackup")


async def object_of(tab: Tab, kept: Kept, kind: str, name: str) -> Any:
    query = {"backup": kept.name, "kind": kind, "namespace": kept.world.name, "name": name}
    return await ask(tab, "object", **query)


async def test_no_answer_holds_what_a_secret_does(library: Served, kept: Kept) -> None:
    await kept.world.connection.send(
        "PATCH",
        f"/api/v1/namespaces/{kept.world.name}/secrets/db",
        body={"stringData": {"password": "also-never-to-be-seen"}},
        content_type="application/merge-patch+json",
    )
    form = {"backup": kept.name, "kinds": ["secrets"], "existing": "update"}
    async with tab_of(library) as tab:
        secret = await object_of(tab, kept, "secrets", "db")
        assert secret["isMasked"]
        assert "password: <hidden>" in secret["yaml"]
        chosen = {"namespace": kept.world.name, "kind": "secrets"}
        difference = await ask(tab, "diff", old=kept.name, **chosen)
        assert [each["name"] for each in difference["changes"]] == ["db"]
        _, plan = await tab.post("/api/backups/plan", {"form": form, "asks_server": True})
        for told in (secret, difference, plan):
            text = json.dumps(told)
            for value in (_PASSWORD, "also-never-to-be-seen"):
                assert value not in text
                assert base64.b64encode(value.encode()).decode() not in text


@pytest.mark.parametrize("error", [DamagedError, BlobMissingError])
async def test_one_lost_object_keeps_no_other_from_being_compared(
    library: Served,
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
    error: type[DamagedError | BlobMissingError],
) -> None:
    send, space = kept.world.connection.send, f"/api/v1/namespaces/{kept.world.name}"
    body = {"metadata": {"name": "later"}, "data": {"page": "new"}}
    await send("POST", f"{space}/configmaps", body=body)
    async with open_repository(kept.place) as opened:
        catalog = await Catalog.of(await open_archive(opened, kept.name))
    damaged = catalog.stored("configmaps", kept.world.name, "settings").id
    read = Repository.read

    async def read_what_is_whole(self: Repository, ids: Sequence[ObjectId]) -> list[bytes]:
        if damaged in ids:
            raise error("it is not what its id says")
        return await read(self, ids)

    monkeypatch.setattr(Repository, "read", read_what_is_whole)
    async with tab_of(library) as tab:
        found = await ask(tab, "diff", old=kept.name, namespace=kept.world.name)
    name = f"configmaps {kept.world.name}/settings"
    assert found["notCompared"] == {name: "it is not what its id says"}
    assert ("Added", "later") in {(each["change"], each["name"]) for each in found["changes"]}


async def test_one_object_is_brought_back(library: Served, kept: Kept) -> None:
    send = kept.world.connection.send
    await send("DELETE", kept.settings)
    form = {"backup": kept.name, "names": [f"configmaps/{kept.world.name}/settings"]}
    async with tab_of(library) as tab:
        gone = await ask(tab, "diff", old=kept.name, namespace=kept.world.name, kind="configmaps")
        assert [(each["change"], each["name"]) for each in gone["changes"]] == [
            ("Removed", "settings")
        ]
        status, plan = await tab.post("/api/backups/plan", {"form": form, "asks_server": True})
        assert status == 200, plan
        assert plan["counts"] == {"Create": 1}
        with pytest.raises(NotFoundError):
            await send("GET", kept.settings)
        wish = {"form": form, "digest": "of another plan"}
        status, body = await tab.post("/api/backups/restore", wish)
        assert (status, body["reason"]) == (409, "PlanChanged")
        wish["digest"] = plan["digest"]
        status, body = await tab.post("/api/backups/restore", wish)
        assert status == 201, body
        assert body["run"]
        await back(kept)
        _, plan = await tab.post("/api/backups/plan", {"form": form})
        assert not plan["hasWork"]


async def test_what_changed_since_the_plan_is_told(library: Served, kept: Kept) -> None:
    send = kept.world.connection.send
    await send("DELETE", kept.settings)
    form = {"backup": "latest", "kinds": ["configmaps"]}
    async with tab_of(library) as tab:
        _, plan = await tab.post("/api/backups/plan", {"form": form})
        words = shlex.split(plan["command"])
        assert words[:4] == ["shipkeeper", "backup", "restore", kept.name]
        assert {f"--repo={kept.place.url}", f"--identity={kept.place.identity}"} <= {*words}
        assert words[-1] == f"--kubeconfig={kept.world.sandbox.kubeconfig}"
        space = f"/api/v1/namespaces/{kept.world.name}/configmaps"
        await send("POST", space, body={"metadata": {"name": "settings"}, "data": {"page": "new"}})
        wish = {"form": form, "digest": plan["digest"]}
        status, body = await tab.post("/api/backups/restore", wish)
        assert (status, body["reason"]) == (409, "PlanChanged")
        assert f"it had Create configmaps/{kept.world.name}/settings" in body["message"]


async def test_a_restore_that_was_interrupted_is_given_up_and_started_anew(
    library: Served, kept: Kept
) -> None:
    await kept.world.connection.send("DELETE", kept.settings)
    form = {"backup": kept.name, "names": [f"configmaps/{kept.world.name}/settings"]}
    run = await interrupted(library, kept, form)
    async with tab_of(library) as tab:
        _, plan = await tab.post("/api/backups/plan", {"form": form})
        wish = {"form": form, "digest": plan["digest"]}
        status, body = await tab.post("/api/backups/restore", wish)
        assert status == 409, body
        assert f"run {run} asked for the same and was interrupted" in body["message"]
        assert f"shipkeeper abort {run}" in body["hint"]
        status, body = await tab.post("/api/run/resume", {"run": run})
        assert (status, body["reason"]) == (400, "NeedsCommandLine")
        status, body = await tab.post("/api/run/abort", {"run": run})
        assert status == 200, body
        assert library.journal.run(run).outcome is Outcome.ABORTED
        status, body = await tab.post("/api/backups/restore", wish)
        assert status == 201, body
        await back(kept)


async def interrupted(library: Served, kept: Kept, form: dict[str, Any]) -> str:
    """A run of a restore whose process ended right after its begin."""
    connection = kept.world.connection
    options = msgspec.convert(form, RestoreForm).options()
    async with open_repository(kept.place) as opened:
        archive = await open_archive(opened, kept.name)
        prepared = await prepare(connection, archive, opened.id, options)
    run = new_run(prepared.plan, await cluster_identity(kept.world.reader))
    library.journal.begin(run)
    return run.id


async def test_few_backups_are_opened_at_a_time(
    library: Served, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [kept.name, *[await kept_again(kept.place, kept.world) for _ in range(3)]]
    opening, most = 0, 0

    async def counted(repository: Repository, name: str) -> Archive:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)
        # Long enough for all others to come.
        await asyncio.sleep(0.2)
        opening -= 1
        return await open_archive(repository, name)

    monkeypatch.setattr("shipkeeper.web.library.open_archive", counted)
    async with tab_of(library) as tab:
        found = await asyncio.gather(*(ask(tab, "objects", backup=name) for name in names))
    assert all(each["total"] for each in found)
    assert most == 2


async def back(kept: Kept) -> None:
    """Wait until the ConfigMap is there again."""
    async with asyncio.timeout(400):
        while True:
            with contextlib.suppress(NotFoundError):
                await kept.world.connection.send("GET", kept.settings)
                return
            await asyncio.sleep(0.2)


async def test_that_it_was_verified_is_shown(library: Served, kept: Kept) -> None:
    async with tab_of(library) as tab:
        assert (await tab.post("/api/backups/verify", {}))[0] == 202
        async with asyncio.timeout(400):
            while not (found := await ask(tab, "list"))["verified"]:
                await asyncio.sleep(0.1)
        assert found["verified"]["depth"] == "content"
        assert found["backups"][0]["verifiedAt"] == found["verified"]["at"]
        assert found["backups"][0]["harm"] == []


async def test_nobody_sees_in_a_backup_what_they_may_not_list(
    newest: Sandbox, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = kept.world

    async def lost(self: ArchiveSide) -> None:
        for what in ("secrets", "secrets db", "secrets, 3 more", "configmaps"):
            self.unreadable[what] = "lost"

    monkeypatch.setattr(ArchiveSide, "prepare", lost)
    # What a restore looks at besides: who could refuse it, what else is defined, which volumes.
    around = [rule("list", "*", group) for group in ("admissionregistration.k8s.io", *_AROUND)]
    listed = rule("list", "namespaces,configmaps,persistentvolumes,persistentvolumeclaims")
    token = await token_of(world, "reader", listed, *around)
    nobody = await token_of(world, "nobody")
    secret = {
        "backup": kept.name,
        "kind": "secrets",
        "namespace": world.name,
        "name": "db",
    }
    async with served_to_all(newest, tmp_path, place=kept.place) as console:
        async with visitor(console, token) as tab:
            found = await ask(tab, "objects", backup=kept.name)
            assert {each["kind"] for each in found["rows"]} == {"configmaps", "namespaces"}
            shelf = await ask(tab, "list")
            assert [each["row"]["contents"] for each in shelf["backups"]] == [None]
            assert str(kept.place.url) not in json.dumps(shelf)
            different = await ask(tab, "diff", old=kept.name, new=kept.name)
            assert different["notCompared"] == {"configmaps": "lost"}
            assert "list secrets" in {each["canI"] for each in found["missing"]}
            status, body = await tab.get(f"/api/backups/object?{urlencode(secret)}")
            assert (status, body["reason"]) == (403, "Forbidden")
            assert "list secrets" in body["hint"]
            form = {"backup": kept.name, "kinds": ["secrets"]}
            status, body = await tab.post("/api/backups/plan", {"form": form})
            assert (status, body["reason"]) == (403, "Forbidden")
            # What they may read they may still not write.
            await world.connection.send("DELETE", kept.settings)
            form = {"backup": kept.name, "names": [f"configmaps/{world.name}/settings"]}
            status, plan = await tab.post("/api/backups/plan", {"form": form})
            assert status == 200, plan
            assert any("create configmaps" in each["canI"] for each in plan["missing"])
            wish = {"form": form, "digest": plan["digest"]}
            status, body = await tab.post("/api/backups/restore", wish)
            assert (status, body["reason"]) == (403, "Forbidden")
        async with visitor(console, nobody) as tab:
            status, body = await tab.get("/api/backups/list")
            assert (status, body["reason"]) == (403, "Forbidden")
    with pytest.raises(NotFoundError):
        await world.connection.send("GET", kept.settings)


async def test_who_may_not_even_ask_any_more_sees_nothing(
    newest: Sandbox, kept: Kept, tmp_path: Path
) -> None:
    world, send = kept.world, kept.world.connection.send
    token = await token_of(
        world, "console", rule("impersonate", "users"), rule("list,watch,get", "*", "*")
    )
    kubeconfig = tmp_path / "console.kubeconfig"
    kubeconfig.write_bytes(token_kubeconfig(world.connection.credentials, token))
    keeper = f"{world.name}-withdrawn"
    await grant(world, "withdrawn", {"kind": "User", "name": keeper}, rule("*", "*", "*"))
    asked = urlencode(
        {"backup": kept.name, "kind": "configmaps", "namespace": world.name, "name": "settings"}
    )
    async with (
        served_to_all(
            newest, tmp_path, client_ca=newest.ca, kubeconfig=kubeconfig, place=kept.place
        ) as console,
        shown(console, made(newest, tmp_path, keeper)) as tab,
    ):
        role = f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{world.name}-console"
        await send("DELETE", role)
        await refused(world, token, keeper)
        for what in ("list", f"objects?backup={kept.name}", f"object?{asked}"):
            status, body = await tab.get(f"/api/backups/{what}")
            assert (status, body.get("reason")) == (403, "Forbidden"), what


async def refused(world: World, token: str, user: str) -> None:
    """Wait until the API server lets nobody with the token act as the user."""
    own = await with_token(world.connection.credentials, token)
    credentials = own.acting_as(user, ())
    await credentials.log_in()
    acting = Connection(credentials)
    try:
        async with asyncio.timeout(400):
            look = Permission(verb="list", resource=NODES)
            while await is_permitted(acting, look, if_not_told=False):
                await asyncio.sleep(0.2)
    finally:
        await acting.close()


@pytest.mark.parametrize(
    "form",
    [
        {"backup": ""},
        {"backup": "--help", "kinds": ["secrets"]},
        {"backup": "latest"},
        {"backup": "latest", "kinds": ["nonsense"]},
        {"backup": "latest", "names": ["secrets"]},
        {"backup": "latest", "names": ["secrets/a/b"] * 501},
        {"backup": "latest", "names": ["secrets/a\nb"]},
        {"backup": "latest", "kinds": ["secrets"], "more": 1},
    ],
)
async def test_a_restore_that_makes_no_sense_is_refused(
    library: Served, form: dict[str, Any]
) -> None:
    async with tab_of(library) as tab:
        status, body = await tab.post("/api/backups/plan", {"form": form})
        assert status == 400, body


async def test_pages_of_others_and_strangers_restore_nothing(library: Served, kept: Kept) -> None:
    wish = {"form": {"backup": kept.name, "kinds": ["configmaps"]}, "digest": "x"}
    async with tab_of(library) as tab:
        for headers in ({"Origin": "http://evil.example"}, {"X_Shipkeeper_CSRF": "guessed"}):
            assert (await tab.post("/api/backups/restore", wish, **headers))[0] == 403
    async with tab_of(library, logs_in=False) as tab:
        assert (await tab.post("/api/backups/restore", wish))[0] == 401
        for what in ("list", "objects?backup=latest", "diff?old=latest"):
            assert (await tab.get(f"/api/backups/{what}"))[0] == 401


async def test_without_a_repository_it_says_how_to_have_one(console: Served) -> None:
    async with tab_of(console) as tab:
        status, body = await tab.get("/api/backups/list")
        assert (status, body["reason"]) == (404, "NoRepository")
        assert "--repo" in body["hint"]
