"""Backups of real clusters: of one moment, whole or said not to be, and only what is meant."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.contents import Moment
from shipkeeper.backup.selection import Selection
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.store.repository import Repository
from tests.backup.cluster import (
    Cluster,
    back_up,
    by_name,
    config_map,
    fresh,
    manifest,
    manifests_of,
)
from tests.faults.faults import refusal
from tests.faults.proxy import FaultProxy
from tests.nodes.world import options_of

CANARY = "canary-4f1d0c2e"
PAIRS = 4
ROUNDS = 6


@pytest.fixture
async def cluster(sandbox: Sandbox) -> AsyncIterator[Cluster]:
    """A cluster of each end of the version range in turn."""
    async with connect(options_of(sandbox)) as connection:
        yield Cluster(connection)


async def test_no_backup_holds_a_torn_pair(cluster: Cluster, repository: Repository) -> None:
    """A writer sets a ConfigMap and then its Secret to the same number, for ever.

    At any one moment the Secret is at most one write behind: `cm == secret` or `cm == secret + 1`.
    Kinds that were listed at moments of their own would be many writes apart.
    """
    namespace = fresh("torn")
    await cluster.create(manifest("v1 Namespace", namespace))
    secrets = await cluster.kind(manifest("v1 Secret", "x"))
    config_maps = await cluster.kind(config_map("x", "x"))
    for number in range(PAIRS):
        await cluster.create(
            config_map(f"p{number}", namespace, n="0"),
            manifest("v1 Secret", f"p{number}", namespace, stringData={"n": "0"}),
        )
    writes = 0

    async def keep_writing(name: str) -> None:
        nonlocal writes
        for value in range(1, 1_000_000):
            for kind, patch in (
                (config_maps, {"data": {"n": str(value)}}),
                (secrets, {"stringData": {"n": str(value)}}),
            ):
                await cluster.writer.patch(kind.resource, name, patch, namespace=namespace)
                writes += 1

    writers = [asyncio.create_task(keep_writing(f"p{number}")) for number in range(PAIRS)]
    try:
        for _ in range(ROUNDS):
            before = writes
            contents = await back_up(cluster, repository)
            assert contents.is_complete
            assert writes > before, "nothing was written while the backup ran"
            await assert_no_pair_is_torn(repository, namespace)
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    await cluster.delete(manifest("v1 Namespace", namespace))


async def assert_no_pair_is_torn(repository: Repository, namespace: str) -> None:
    archive = await open_archive(repository, "latest")
    where = Selection(namespaces=(namespace,), cluster_scoped=False)
    found = await manifests_of(archive, where)
    of = {
        kind: by_name(each for each in found if each["kind"] == kind)
        for kind in ("ConfigMap", "Secret")
    }
    for number in range(PAIRS):
        name = f"p{number}"
        first = int(of["ConfigMap"][name]["data"]["n"])
        second = int(base64.b64decode(of["Secret"][name]["data"]["n"]))
        assert first - second in (0, 1), f"{name} is torn: {first} and {second}"


async def test_everything_is_in_it_as_it_was(cluster: Cluster, repository: Repository) -> None:
    namespace = fresh("all")
    mine = config_map("a", namespace, x="1", meta="2")
    await cluster.create(manifest("v1 Namespace", namespace), mine)
    contents = await back_up(cluster, repository)
    assert all(each.moment is Moment.COMMON for each in contents.kinds)
    assert all(each.revision == contents.revision for each in contents.kinds)
    archive = await open_archive(repository, "latest")
    (found,) = await manifests_of(archive, Selection(names=(f"configmap/{namespace}/a",)))
    assert found == await cluster.get(mine)
    await cluster.delete(manifest("v1 Namespace", namespace))


async def test_selections(new: Connection, repository: Repository) -> None:
    cluster = Cluster(new)
    first, second = fresh("sel"), fresh("sel")
    labelled = config_map("a", first)
    labelled["metadata"]["labels"] = {"app": "x"}
    objects = (labelled, config_map("b", first), config_map("a", second))
    await cluster.create(*(manifest("v1 Namespace", each) for each in (first, second)), *objects)

    async def taken(selection: Selection) -> set[str]:
        await back_up(cluster, repository, selection)
        archive = await open_archive(repository, "latest")
        found = await archive.find(Selection(kinds=("cm",)))
        mine = (first, second)
        return {f"{each.namespace}/{each.name}" for each, _ in found if each.namespace in mine}

    without_root = ("cm/kube-root-ca.crt",)
    assert await taken(Selection(namespaces=(first,), not_names=without_root)) == {
        f"{first}/a",
        f"{first}/b",
    }
    assert await taken(Selection(kinds=("cm",), selector="app=x")) == {f"{first}/a"}
    assert await taken(Selection(not_namespaces=(first,), not_names=without_root)) == {
        f"{second}/a"
    }
    assert await taken(Selection(names=(f"cm/{second}/a",))) == {f"{second}/a"}
    assert await taken(Selection(not_kinds=("cm",))) == set()
    with pytest.raises(UsageError, match="no kind 'wigdets'"):
        await taken(Selection(kinds=("wigdets",)))
    await cluster.delete(*(manifest("v1 Namespace", each) for each in (first, second)))


async def test_what_cannot_be_read_is_named(
    newest: Sandbox, repository: Repository, tmp_path: Path
) -> None:
    async with FaultProxy(newest.kubeconfig, tmp_path) as proxy:
        forbidden = refusal(403, "Forbidden", "secrets are forbidden")
        proxy.inject(forbidden, path="/api/v1/secrets", times=None)
        down = refusal(403, "Forbidden", "the group is down")
        proxy.inject(down, path="/apis/storage.k8s.io/v1$", times=None)
        async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
            contents = await back_up(Cluster(connection), repository)
    assert {each.what for each in contents.unreadable} == {"secrets", "storage.k8s.io/v1"}
    assert not contents.is_complete
    assert contents.of(("", "ConfigMap")) is not None


@pytest.mark.parametrize(("times", "moment"), [(1, Moment.COMMON), (None, Moment.OWN)])
async def test_a_revision_that_the_server_no_longer_keeps(
    newest: Sandbox, repository: Repository, tmp_path: Path, times: int | None, moment: Moment
) -> None:
    """Everything is listed anew at another one; and if that never lasts, it is told."""
    async with FaultProxy(newest.kubeconfig, tmp_path) as proxy:
        rule = proxy.inject(
            refusal(410, "Expired"), path="/configmaps.*resourceVersionMatch=Exact", times=times
        )
        async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
            contents = await back_up(Cluster(connection), repository)
    config_maps = contents.of(("", "ConfigMap"))
    assert config_maps is not None
    assert config_maps.moment is moment
    assert config_maps.objects > 0
    assert contents.is_complete is (moment is Moment.COMMON)
    assert rule.count == (1 if times else 3)


async def test_secrets_are_in_no_byte_of_the_repository(
    new: Connection, repository: Repository, tmp_path: Path
) -> None:
    cluster, namespace = Cluster(new), fresh("canary")
    secret = manifest("v1 Secret", CANARY, namespace, stringData={CANARY: CANARY})
    await cluster.create(manifest("v1 Namespace", namespace), secret)
    await back_up(cluster, repository)
    archive = await open_archive(repository, "latest")
    (found,) = await manifests_of(archive, Selection(names=(f"secret/{CANARY}",)))
    assert CANARY in found["data"]
    files = [path for path in (tmp_path / "repository").rglob("*") if path.is_file()]
    assert files
    words = (CANARY.encode(), base64.b64encode(CANARY.encode()), namespace.encode())
    for path in files:
        content = path.read_bytes() + str(path).encode()
        assert not any(word in content for word in words), path
    await cluster.delete(manifest("v1 Namespace", namespace))


async def test_the_second_backup_adds_almost_nothing(
    new: Connection, repository: Repository
) -> None:
    cluster, namespace = Cluster(new), fresh("twice")
    objects = [config_map(f"c{number}", namespace, x="y" * 400) for number in range(300)]
    await cluster.create(manifest("v1 Namespace", namespace))
    kind = await cluster.kind(objects[0])
    await asyncio.gather(
        *(cluster.writer.create(kind.resource, each, namespace=namespace) for each in objects)
    )
    where = Selection(namespaces=(namespace,))
    for _ in range(2):
        await back_up(cluster, repository, where)
    first, second = await repository.backups()
    assert first.figures is not None
    assert second.figures is not None
    assert second.figures.content_bytes == first.figures.content_bytes
    assert second.figures.added_bytes < first.figures.added_bytes * 0.1
    await cluster.delete(manifest("v1 Namespace", namespace))
