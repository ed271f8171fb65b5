"""The reflector, and etcd restored to an older state underneath it: revisions go back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.kube.changes import Added, Deleted, Modified
from shipkeeper.kube.connection import connect
from shipkeeper.kube.following import FollowingReader, NotingWriter
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NAMESPACES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import KubeObject
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.proxy import FaultProxy
from tests.kube.conftest import create_namespace, options
from tests.kube.following import following
from tests.sandbox.past import go_back, remember


@pytest.fixture
async def writer(returning: Sandbox) -> AsyncIterator[Writer]:
    async with connect(options(returning.kubeconfig)) as direct:
        yield Writer(direct)


async def test_what_is_followed_is_what_is_there_after_a_restore(
    returning: Sandbox, writer: Writer, tmp_path: Path
) -> None:
    namespace = await create_namespace(writer)
    async with (
        FaultProxy(returning.kubeconfig, tmp_path) as proxy,
        connect(options(proxy.kubeconfig)) as connection,
        following(Reader(connection), writer, namespace) as followed,
    ):
        for name in ("same", "changed", "deleted"):
            await followed.create(name, n="1")
        await followed.until(lambda objects: len(objects) == 3)
        then = {each.name: each for each in followed.reflector.objects.values()}
        snapshot = await asyncio.to_thread(remember, returning, tmp_path / "snapshot.db")
        changed = await followed.change("changed", n="2")
        created = await followed.create("created")
        await followed.delete("deleted")
        await followed.until(lambda objects: set(objects) == {"same", "changed", "created"})
        revision = followed.reflector.revision
        followed.told.clear()

        await asyncio.to_thread(go_back, returning, snapshot)
        await followed.until(lambda objects: objects == then)
        assert int(followed.reflector.revision) < int(revision)
        assert followed.told == [
            Deleted(created),
            Modified(changed, then["changed"]),
            Added(then["deleted"]),
        ]
        await followed.create("later")
        await followed.until_told_of("later")


async def test_what_was_noted_of_an_object_is_no_more_after_a_restore(
    returning: Sandbox, writer: Writer, tmp_path: Path
) -> None:
    """Neither where revisions go back, nor where they are bumped, so that nothing seems to."""
    namespace = await create_namespace(writer)

    def mark_of(found: KubeObject) -> str:
        return found.metadata.annotations.get("mark", "")

    def marked(text: str) -> dict[str, Any]:
        return {"metadata": {"annotations": {"mark": text}}}

    connection = writer.connection
    for how in ((), ("--bump-revision=1000000000", "--mark-compacted")):
        async with Reflector(Reader(connection), NAMESPACES) as followed:
            reader = FollowingReader(connection, followed, NAMESPACES)
            noting = NotingWriter(connection, reader)
            await noting.patch(NAMESPACES, namespace, marked("kept"))
            snapshot = await asyncio.to_thread(remember, returning, tmp_path / f"{len(how)}.db")
            await noting.patch(NAMESPACES, namespace, marked("undone"))
            assert mark_of(await reader.get(NAMESPACES, namespace)) == "undone"
            await asyncio.to_thread(go_back, returning, snapshot, *how)
            async with asyncio.timeout(60):
                await followed.wait_for(lambda found: mark_of(found[namespace]) == "kept")
                # Until then the server is asked.
                while followed.stale_since is not None:
                    await asyncio.sleep(0.1)
            assert mark_of(await reader.get(NAMESPACES, namespace)) == "kept"
