"""A namespace, a connection and a fault-injecting proxy for each test."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.proxy import FaultProxy
from tests.kube.following import Followed, following
from tests.kube.login import Files
from tests.kube.objects import NAMESPACES


def options(kubeconfig: Path) -> ConnectionOptions:
    return ConnectionOptions(kubeconfig=str(kubeconfig))


async def create_namespace(writer: Writer) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await writer.create(NAMESPACES, manifest)
    return name


@pytest.fixture
async def direct(sandbox: Sandbox) -> AsyncIterator[Connection]:
    """The administrator's connection, past the proxy."""
    async with connect(options(sandbox.kubeconfig)) as connection:
        yield connection


@pytest.fixture
def writer(direct: Connection) -> Writer:
    return Writer(direct)


@pytest.fixture
async def namespace(writer: Writer) -> AsyncIterator[str]:
    name = await create_namespace(writer)
    yield name
    await writer.delete(NAMESPACES, name)


@pytest.fixture
async def proxy(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(sandbox.kubeconfig, tmp_path) as running:
        yield running


@pytest.fixture
async def reader(proxy: FaultProxy) -> AsyncIterator[Reader]:
    """A reader behind the proxy."""
    async with connect(options(proxy.kubeconfig)) as connection:
        yield Reader(connection)


@pytest.fixture
async def followed(reader: Reader, writer: Writer, namespace: str) -> AsyncIterator[Followed]:
    """A reflector behind the proxy that loses patience after 2 seconds."""
    async with following(reader, writer, namespace) as each:
        yield each


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, no KUBECONFIG, and not a pod."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)
    return home


@pytest.fixture
def files(sandbox: Sandbox, tmp_path: Path) -> Files:
    return Files(sandbox, tmp_path)
