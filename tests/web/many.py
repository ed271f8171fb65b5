"""A console of several clusters: two real ones, one that is gone, and one that cannot be used."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.certificates import create_authority, issue_server
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World, options_of
from tests.web.served import Served, Tab, served, tab_of

EAST, WEST, GONE, BROKEN = "east", "admin@west[1]", "gone", "broken"
CONTEXTS = (BROKEN, EAST, WEST, GONE)
Json = dict[str, Any]


def kubeconfig_of_all(directory: Path, east: Sandbox, west: Sandbox) -> Path:
    """A kubeconfig that knows them all."""
    found: Json = {"apiVersion": "v1", "kind": "Config", "current-context": GONE}
    clusters: list[Json] = [{"name": GONE, "cluster": {"server": "https://127.0.0.1:1"}}]
    users: list[Json] = []
    contexts: list[Json] = [
        {"name": GONE, "context": {"cluster": GONE, "user": EAST}},
        {"name": BROKEN, "context": {"cluster": "nowhere", "user": EAST}},
    ]
    for name, sandbox in ((EAST, east), (WEST, west)):
        own: Json = yaml.safe_load(sandbox.kubeconfig.read_text())
        clusters.append({**own["clusters"][0], "name": name})
        users.append({**own["users"][0], "name": name})
        contexts.append({"name": name, "context": {"cluster": name, "user": name}})
    path = directory / "many"
    document = {**found, "clusters": clusters, "users": users, "contexts": contexts}
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
async def many(newest: Sandbox, oldest: Sandbox, tmp_path: Path) -> Path:
    return kubeconfig_of_all(tmp_path, newest, oldest)


@pytest.fixture
async def consoles(many: Path) -> AsyncIterator[Served]:
    """A console of all, for who started it."""
    async with served(many, contexts=CONTEXTS) as found:
        yield found


@pytest.fixture
async def west(oldest: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    """A corner of the western cluster; `world` is one of the eastern."""
    folder = tmp_path / "west"
    folder.mkdir()
    async with (
        connect(options_of(oldest)) as connection,
        World(oldest, connection, folder) as found,
    ):
        yield found


@asynccontextmanager
async def served_for_all(directory: Path, kubeconfig: Path) -> AsyncGenerator[Served]:
    """The console with TLS, at which everybody logs in to each cluster."""
    pair = issue_server(create_authority("console"), "console", ("127.0.0.1",))
    file = directory / "console.pem"
    file.write_bytes(pair.certificate + pair.key)
    async with served(kubeconfig, certificate=file, contexts=CONTEXTS) as found:
        yield found


async def clusters(tab: Tab) -> dict[str, Json]:
    """The list of clusters, by name."""
    async with tab.http.get(f"{tab.url}/api/clusters") as answer:
        assert answer.status == 200
        return {each["name"]: each for each in (await answer.json())["clusters"]}


async def turn_to(tab: Tab, name: str) -> None:
    """Have a tab look at a cluster, and log in as the page of who started the console does."""
    tab.base = (await clusters(tab))[name]["path"]
    if (await tab.get("/api/session"))[0] == 401:
        assert (await tab.post("/api/login/elsewhere", {}))[0] == 200
    await tab.know_session()


@asynccontextmanager
async def owner_in(console: Served, name: str) -> AsyncGenerator[Tab]:
    """A tab of who started the console, which looks at a cluster."""
    async with tab_of(console, logs_in=False) as tab:
        async with tab.http.get(console.link) as answer:
            assert answer.status == 200
        await turn_to(tab, name)
        yield tab
