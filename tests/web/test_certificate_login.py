"""Whoever shows a client certificate of the cluster acts as whom it names, and nobody else does."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shipkeeper.errors import UsageError
from shipkeeper.kube.bearer import token_kubeconfig, with_token
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.sandbox import names
from shipkeeper.sandbox.certificates import create_authority, issue_client
from shipkeeper.sandbox.keypair import KeyPair
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.web.standing_in import require_standing_in
from tests.nodes.world import World
from tests.web.served import Served, Tab, tab_of
from tests.web.test_runs import form
from tests.web.visitors import grant, rule, served_to_all, token_of, visitor

LOOK = "/api/login/certificate"


@pytest.fixture
async def public(newest: Sandbox, tmp_path: Path) -> AsyncIterator[Served]:
    """A console that takes certificates of the cluster's client authority."""
    async with served_to_all(newest, tmp_path, client_ca=newest.ca) as found:
        yield found


def made(newest: Sandbox, directory: Path, user: str, *groups: str) -> Path:
    """A certificate of the cluster's authority, with its key, in one file."""
    return written(directory, issue_client(authority(newest), user, groups))


def authority(sandbox: Sandbox) -> KeyPair:
    """The cluster's own."""
    layout = sandbox.layout
    return KeyPair(
        certificate=layout.certificate(names.CLUSTER_CA).read_bytes(),
        key=layout.key(names.CLUSTER_CA).read_bytes(),
    )


def written(directory: Path, pair: KeyPair) -> Path:
    file = directory / f"client-{len(list(directory.iterdir()))}.pem"
    file.write_bytes(pair.certificate + pair.key)
    return file


@asynccontextmanager
async def shown(console: Served, certificate: Path) -> AsyncGenerator[Tab]:
    """A tab of somebody who logged in by a certificate."""
    async with tab_of(console, logs_in=False, shows=certificate) as tab:
        status, body = await tab.post(LOOK, {})
        assert status == 200, body
        await tab.know_session()
        yield tab


async def test_they_are_whom_their_certificate_names(
    newest: Sandbox, public: Served, world: World, tmp_path: Path
) -> None:
    certificate = made(newest, tmp_path, "carla", "keepers")
    async with tab_of(public, logs_in=False, shows=certificate) as tab:
        _, door = await tab.get("/api/door")
        assert (door["takesCertificates"], door["certificate"]) == (True, "carla")
    async with shown(public, certificate) as tab:
        _, session = await tab.get("/api/session")
        assert session["user"] == "carla"
        assert set(session["groups"]) == {"keepers", "system:authenticated"}
        assert not session["isLocal"]
        (name,) = await world.add_nodes(1)
        status, body = await tab.post("/api/fleet/plan", form(name))
        assert status == 403, body
        status, body = await tab.post("/api/fleet/plan", form(name, hook="id"))
        assert (status, body["reason"]) == (400, "LocalOnly")
    seen = [each.impersonated_user for each in world.requests()]
    asked = [each for each in seen if each.username == "carla"]
    assert asked
    assert all("keepers" in each.groups for each in asked)


async def test_a_run_is_begun_as_them(
    newest: Sandbox, public: Served, world: World, tmp_path: Path
) -> None:
    await grant(world, "chief", {"kind": "User", "name": "chief"}, rule("*", "*", "*"))
    (name,) = await world.add_nodes(1)
    async with shown(public, made(newest, tmp_path, "chief")) as tab:
        status, plan = await tab.post("/api/fleet/plan", form(name))
        assert status == 200, plan
        assert plan["missing"] == []
        wish = {"form": form(name), "digest": plan["digest"]}
        status, body = await tab.post("/api/fleet/start", wish)
        assert status == 201, body
        async with tab.watching("run", run=body["run"]):
            await tab.until(lambda tab: tab.items.get("run", {}).get("outcome") == "Succeeded")
            assert tab.items["run"]["person"] == "chief"
    writers = {
        each.impersonated_user.username
        for each in world.requests()
        if each.verb == "patch"
        and (each.object_ref.resource, each.object_ref.name) == ("nodes", name)
        if not each.object_ref.subresource and each.impersonated_user.username
    }
    assert writers == {"chief"}


async def test_nobody_is_believed_without_the_authority(
    newest: Sandbox, public: Served, world: World, tmp_path: Path
) -> None:
    stranger = written(tmp_path, issue_client(create_authority("kubernetes"), "carla"))
    with pytest.raises(aiohttp.ClientError):
        async with tab_of(public, logs_in=False, shows=stranger) as tab:
            await tab.post(LOOK, {})
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired = written(tmp_path, issue_client(authority(newest), "carla", not_after=past))
    with pytest.raises(aiohttp.ClientError):
        async with tab_of(public, logs_in=False, shows=expired) as tab:
            await tab.post(LOOK, {})
    headers = {
        "X_SSL_Client_Cert": "carla",
        "X_Client_Verify": "SUCCESS",
        "X_Remote_User": "carla",
        "client_certificate": "carla",
        "Impersonate_User": "carla",
    }
    async with tab_of(public, logs_in=False) as tab:
        status, body = await tab.post(LOOK, {}, **headers)
        assert (status, body["reason"]) == (401, "NoCertificate")
        assert (await tab.get("/api/session"))[0] == 401


async def test_a_session_is_no_good_without_its_certificate(
    newest: Sandbox, public: Served, tmp_path: Path
) -> None:
    other = made(newest, tmp_path, "other")
    async with shown(public, made(newest, tmp_path, "carla")) as tab:
        (cookie,) = list(tab.http.cookie_jar)
        sent = {"Cookie": f"{cookie.key}={cookie.value}"}
        for shows in (None, other):
            async with tab_of(public, logs_in=False, shows=shows) as thief:
                assert (await thief.get("/api/session", **sent))[0] == 401
        assert (await tab.get("/api/session"))[0] == 200


async def test_whom_the_console_may_not_act_as_is_told_so(
    newest: Sandbox, world: World, tmp_path: Path
) -> None:
    token = await token_of(world, "console", rule("list,watch,get", "*", "*"))
    kubeconfig = tmp_path / "console.kubeconfig"
    async with connect(ConnectionOptions(kubeconfig=str(newest.kubeconfig))) as connection:
        kubeconfig.write_bytes(token_kubeconfig(connection.credentials, token))
    certificate = made(newest, tmp_path, "carla")
    async with (
        served_to_all(newest, tmp_path, client_ca=newest.ca, kubeconfig=kubeconfig) as console,
        tab_of(console, logs_in=False, shows=certificate) as tab,
    ):
        status, body = await tab.post(LOOK, {})
        assert (status, body["reason"]) == (403, "MayNotImpersonate")
        assert "impersonate users/carla" in body["hint"]
        assert (await tab.get("/api/session"))[0] == 401


@pytest.mark.parametrize(
    "names", [("system:serviceaccount:default:default",), ("carla", "system:masters")]
)
async def test_the_console_never_acts_as_some(
    newest: Sandbox, public: Served, tmp_path: Path, names: tuple[str, ...]
) -> None:
    certificate = made(newest, tmp_path, *names)
    async with tab_of(public, logs_in=False, shows=certificate) as tab:
        status, body = await tab.post(LOOK, {})
        assert (status, body.get("reason")) == (403, "NeverImpersonated")
        assert (await tab.get("/api/session"))[0] == 401


async def test_tokens_log_in_beside_certificates(public: Served, world: World) -> None:
    token = await token_of(world, "reader")
    async with visitor(public, token) as tab:
        _, session = await tab.get("/api/session")
        assert session["user"].endswith(":reader")


async def test_without_being_told_so_it_takes_none(newest: Sandbox, tmp_path: Path) -> None:
    certificate = made(newest, tmp_path, "carla")
    async with (
        served_to_all(newest, tmp_path) as console,
        tab_of(console, logs_in=False, shows=certificate) as tab,
    ):
        status, body = await tab.post(LOOK, {})
        assert (status, body["reason"]) == (403, "NoCertificates")


async def test_a_console_that_acts_as_somebody_acts_as_no_other(newest: Sandbox) -> None:
    options = ConnectionOptions(kubeconfig=str(newest.kubeconfig), impersonate_user="somebody")
    async with connect(options) as connection:
        with pytest.raises(UsageError, match="cannot act as others"):
            await require_standing_in(connection, lambda _: None)


@pytest.mark.parametrize("whom", [{}, {"resourceNames": ["carla"]}])
async def test_a_console_that_may_act_as_anybody_says_so(
    world: World, whom: dict[str, Any]
) -> None:
    token = await token_of(world, "console", {**rule("impersonate", "users"), **whom})
    credentials = await with_token(world.connection.credentials, token)
    said: list[str] = []
    connection = Connection(credentials)
    try:
        await require_standing_in(connection, said.append)
    finally:
        await connection.close()
    assert ["resourceNames" in each for each in said] == ([] if whom else [True])
