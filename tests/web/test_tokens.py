"""Over TLS everybody logs in with a token, does everything as themselves, and no more than that."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import new_run
from shipkeeper.metrics.prometheus import PrometheusOptions
from shipkeeper.nodes.health import HealthOptions
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, PodAccess, as_request
from shipkeeper.paths import state_dir
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.upgrade.options import BackupInto, UpgradeOptions
from shipkeeper.upgrade.options import as_request as upgrade_request
from tests.faults.certificate import write_server_certificate
from tests.nodes.world import World
from tests.web.served import Served, Tab, served, tab_of
from tests.web.test_runs import form, planned

LOOKS: list[dict[str, Any]] = [
    {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
]
ACTS: list[dict[str, Any]] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


@pytest.fixture
async def public(newest: Sandbox, tmp_path: Path) -> AsyncIterator[Served]:
    """A console with a certificate."""
    certificate = tmp_path / "console.pem"
    write_server_certificate(certificate)
    async with served(newest.kubeconfig, certificate=certificate) as found:
        yield found


async def account(world: World, name: str, rules: list[dict[str, Any]]) -> str:
    """A token of a ServiceAccount with a ClusterRole of these rules."""
    full = f"{world.name}-{name}"
    send = world.connection.send
    path = f"/api/v1/namespaces/{world.name}/serviceaccounts"
    await send("POST", path, body={"metadata": {"name": name}})
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    await send("POST", f"{rbac}/clusterroles", body={"metadata": {"name": full}, "rules": rules})
    binding = {
        "metadata": {"name": full},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": full,
        },
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": world.name}],
    }
    await send("POST", f"{rbac}/clusterrolebindings", body=binding)
    answer = await send("POST", f"{path}/{name}/token", body={"spec": {"expirationSeconds": 3600}})
    return str(json.loads(answer)["status"]["token"])


@asynccontextmanager
async def logged_in(console: Served, token: str) -> AsyncGenerator[Tab]:
    async with tab_of(console, logs_in=False) as tab:
        status, body = await tab.post("/api/login", {"token": token})
        assert status == 200, body
        await tab.know_session()
        yield tab


async def test_a_made_up_token_is_refused_and_guessing_ends(public: Served) -> None:
    async with tab_of(public, logs_in=False) as tab:
        tokens = ("", "guess", "ü", "a\nb", "x" * 20_000, *["more"] * 7)
        codes = [(await tab.post("/api/login", {"token": token}))[0] for token in tokens]
    assert codes == [401] * 10 + [429] * 2


async def test_links_and_plain_http_are_no_way_in(public: Served) -> None:
    async with tab_of(public, logs_in=False) as tab:
        assert (await tab.get("/api/door"))[1] == {
            "way": "token",
            "takesCertificates": False,
            "certificate": None,
            "context": "",
            "isElsewhere": False,
        }
        async with tab.http.get(f"{tab.url}/", params={"link": "x"}):
            pass
        assert (await tab.get("/api/session"))[0] == 401
        with pytest.raises((aiohttp.ClientError, OSError)):
            await tab.http.get(tab.url.replace("https", "http"))


async def test_it_answers_by_the_names_of_its_certificate_alone(public: Served) -> None:
    async with tab_of(public, logs_in=False) as tab:
        assert (await tab.get("/api/door"))[0] == 200
        assert (await tab.get("/api/door", Host="localhost"))[0] == 421


async def test_the_cookie_and_the_transport_are_safe(public: Served, world: World) -> None:
    token = await account(world, "looker", LOOKS)
    async with tab_of(public, logs_in=False) as tab:
        async with tab.http.post(
            f"{tab.url}/api/login", json={"token": token}, headers={"Origin": tab.url}
        ) as response:
            cookie = response.headers["Set-Cookie"]
            assert response.headers["Strict-Transport-Security"]
        assert cookie.startswith("__Host-")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        assert token not in cookie


async def test_who_may_see_nothing_is_told_what_is_missing(public: Served, world: World) -> None:
    token = await account(world, "nobody", [])
    async with logged_in(public, token) as tab:
        for page in ("fleet", "run", "journal"):
            tab.last = ""
            async with tab.watching(page):
                await tab.until(lambda tab: bool(tab.heard.get("missing")))
            assert tab.items == {}
            assert "list nodes" in [each["canI"] for each in tab.heard["missing"]]
        status, body = await tab.post("/api/fleet/plan", form("a"))
        assert (status, body["reason"]) == (403, "Forbidden")
        assert "can-i" in body["hint"]


async def test_who_may_only_look_changes_nothing(public: Served, world: World) -> None:
    (name,) = await world.add_nodes(1)
    token = await account(world, "looker", LOOKS)
    user = f"system:serviceaccount:{world.name}:looker"
    async with logged_in(public, token) as tab:
        assert (await tab.get("/api/session"))[1]["user"] == user
        async with tab.watching("fleet", q=name):
            await tab.until(lambda tab: f"row/{name}" in tab.items)
        plan = await planned(tab, form(name))
        assert "patch nodes" in [each["canI"] for each in plan["missing"]]
        wish = {"form": form(name), "digest": plan["digest"]}
        status, body = await tab.post("/api/fleet/start", wish)
        assert status == 403, body
        for work in ({"hook": "true"}, {"ssh": "reboot"}):
            status, body = await tab.post("/api/fleet/plan", form(name, wait="", **work))
            assert (status, body["reason"]) == (400, "LocalOnly")
    questions = {"selfsubjectaccessreviews", "selfsubjectreviews"}
    written = [
        line
        for line in world.requests()
        if line.user.username == user
        and line.verb in ("create", "update", "patch", "delete", "deletecollection")
        and line.object_ref.resource not in questions
        and line.response_status.code < 400
    ]
    assert not written
    assert not public.journal.heads()


async def test_a_run_is_driven_as_the_person(public: Served, world: World) -> None:
    (name,) = await world.add_nodes(1)
    token = await account(world, "keeper", ACTS)
    user = f"system:serviceaccount:{world.name}:keeper"
    async with logged_in(public, token) as tab:
        plan = await planned(tab, form(name))
        assert plan["missing"] == []
        wish = {"form": form(name), "digest": plan["digest"]}
        status, answer = await tab.post("/api/fleet/start", wish)
        assert status == 201, answer
        async with tab.watching("run", run=answer["run"]):
            await tab.until(lambda tab: tab.items.get("run", {}).get("outcome") == "Succeeded")
        assert tab.items["run"]["person"] == user
    patched = {
        line.user.username
        for line in world.requests()
        if line.verb == "patch" and line.object_ref.name == name
        if "serviceaccount" in line.user.username and "kube-system" not in line.user.username
    }
    assert patched == {user}
    files = [path for path in state_dir().rglob("*") if path.is_file()]
    assert files
    assert all(token.encode() not in path.read_bytes() for path in files)


async def test_what_takes_things_of_the_consoles_machine_is_resumed_there(
    public: Served, world: World
) -> None:
    """Nobody else is let near: who may do nothing is told of the machine before permissions."""
    (name,) = await world.add_nodes(1)
    token = await account(world, "nobody", [])
    plain = MaintenanceOptions(drain=DrainOptions(), work="reboot", pod=PodAccess())
    script = msgspec.structs.replace(plain, work="/root/script.sh")
    secret = msgspec.structs.replace(plain, secret_env=("AWS_SECRET_ACCESS_KEY",))
    wait = MaintenanceOptions(drain=DrainOptions(), wait=1.0)
    metrics = PrometheusOptions(url="http://metrics:9090", token_file="/root/token")
    asks = msgspec.structs.replace(wait, health=HealthOptions(prometheus=metrics))
    saved = UpgradeOptions(target="v1.37.2", backup=BackupInto(url="/backups"), nodes=wait)
    asking = UpgradeOptions(target="v1.37.2", goes_without_backup=True, nodes=asks)
    unsaved = UpgradeOptions(target="v1.37.2", goes_without_backup=True, nodes=wait)
    wanted = [
        ("maintain", as_request(plain, (name,)), "Forbidden"),
        ("maintain", as_request(script, (name,)), "LocalOnly"),
        ("maintain", as_request(secret, (name,)), "LocalOnly"),
        ("maintain", as_request(asks, (name,)), "LocalOnly"),
        ("upgrade", upgrade_request(saved), "LocalOnly"),
        ("upgrade", upgrade_request(asking), "LocalOnly"),
        ("upgrade", upgrade_request(unsaved), "Forbidden"),
    ]
    async with logged_in(public, token) as tab:
        for procedure, request, reason in wanted:
            plan = Plan(procedure=procedure, request=request, steps=())
            run = new_run(plan, "a-cluster")
            public.journal.begin(run)
            status, body = await tab.post("/api/run/resume", {"run": run.id})
            assert (status, body.get("reason")) == (403, reason), request


async def test_another_session_is_another_person(public: Served, world: World) -> None:
    keeper = await account(world, "keeper", ACTS)
    looker = await account(world, "looker", LOOKS)
    async with logged_in(public, keeper) as first, logged_in(public, looker) as second:
        status, body = await second.post("/api/logout", {}, csrf=first.csrf)
        assert (status, body["reason"]) == (403, "NoCsrfToken")
        assert (await first.get("/api/session"))[1]["user"].endswith(":keeper")
        assert (await second.get("/api/session"))[1]["user"].endswith(":looker")
