"""Backups of which something is lost: it is listed, and everything else is compared."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.comparing import ArchiveSide, compare
from shipkeeper.backup.contents import Contents, KindContents, Moment, encode_contents, encode_name
from shipkeeper.backup.difference import Comparison
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.selection import Selection
from shipkeeper.store.errors import BlobMissingError, DamagedError, StoreError
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import ObjectId

CONFIG_MAPS = Kind(group="", version="v1", plural="configmaps", kind="ConfigMap", namespaced=True)
ACCOUNTS = Kind(
    group="", version="v1", plural="serviceaccounts", kind="ServiceAccount", namespaced=True
)


async def backup_of(repository: Repository, objects: dict[str, str], account: str) -> str:
    """A backup of ConfigMaps with their contents, and of a ServiceAccount; its name."""
    stored: dict[Kind, dict[str, dict[str, Any]]] = {
        CONFIG_MAPS: {name: {"data": {"page": page}} for name, page in objects.items()},
        ACCOUNTS: {"web": {"secrets": [{"name": account}]}},
    }
    async with repository.writing() as writer:
        for kind, found in stored.items():
            of = KindContents(kind=kind, objects=len(found), moment=Moment.COMMON)
            bodies = [
                msgspec.json.encode({"metadata": {"namespace": "shop", "name": name}, **body})
                for name, body in sorted(found.items())
            ]
            metas = [encode_name("shop", name) for name in sorted(found)]
            await writer.add(of.section, metas, bodies)
        contents = Contents(
            cluster="a",
            server="https://a",
            version="v1.37.2",
            began_at=datetime.now(UTC),
            revision="1",
            selection=Selection(),
            kinds=tuple(
                KindContents(kind=kind, objects=len(found), moment=Moment.COMMON)
                for kind, found in stored.items()
            ),
        )
        return (await writer.commit(encode_contents(contents))).name


async def compared(repository: Repository, old: str, new: str, *kinds: str) -> Comparison:
    sides = [ArchiveSide(await open_archive(repository, name)) for name in (old, new)]
    return await compare(sides[0], sides[1], Selection(kinds=kinds), everything=True)


def lose(monkeypatch: pytest.MonkeyPatch, id_: ObjectId, error: type[StoreError]) -> None:
    """Have one content be unreadable from now on."""
    read = Repository.read

    async def read_the_rest(self: Repository, ids: Sequence[ObjectId]) -> list[bytes]:
        if id_ in ids:
            raise error("it is lost")
        return await read(self, ids)

    monkeypatch.setattr(Repository, "read", read_the_rest)


async def content_of(repository: Repository, backup: str, kind: Kind, name: str) -> ObjectId:
    archive = await open_archive(repository, backup)
    of = archive.contents.of(kind.group_kind)
    assert of
    (found,) = [
        each.id
        async for batch in archive.names(of, Selection())
        for each in batch
        if each.name == name
    ]
    return found


@pytest.mark.parametrize("is_old", [True, False])
async def test_a_damaged_object_is_listed_and_the_rest_compared(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, *, is_old: bool
) -> None:
    old = await backup_of(repository, {"a": "1", "b": "1", "c": "1", "gone": "1"}, "x")
    new = await backup_of(repository, {"a": "2", "b": "2", "c": "1", "new": "1"}, "x")
    lost = await content_of(repository, old if is_old else new, CONFIG_MAPS, "a")
    lose(monkeypatch, lost, DamagedError)
    found = await compared(repository, old, new)
    assert {each.name: str(each.change) for each in found.changes} == {
        "b": "Changed",
        "gone": "Removed",
        "new": "Added",
    }
    assert found.not_compared == {"configmaps shop/a": "it is lost"}


@pytest.mark.parametrize("error", [DamagedError, BlobMissingError])
async def test_what_decides_on_others_may_be_lost(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, error: type[StoreError]
) -> None:
    old = await backup_of(repository, {"a": "1"}, "x")
    new = await backup_of(repository, {"a": "2"}, "y")
    lose(monkeypatch, await content_of(repository, old, ACCOUNTS, "web"), error)
    found = await compared(repository, old, new, "configmaps")
    assert [each.name for each in found.changes] == ["a"]
    # Of what may be of a kind that somebody may not see no name is told.
    assert list(found.not_compared) == ["serviceaccounts"]
    assert "web" not in found.not_compared["serviceaccounts"]
