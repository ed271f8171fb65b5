"""A name that was forgotten is never taken again, whenever that happens."""

import pytest

from shipkeeper.store.documents import BACKUPS, FORGOTTEN, ForgottenDocument
from shipkeeper.store.errors import ForgottenError
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup
from shipkeeper.store.verify import verify
from shipkeeper.store.writer import BackupWriter
from tests.store.shelf import Shelf
from tests.store.stock import new_repository, reopen

NAME = "0a1b2c3d4e5f"


async def _fill(writer: BackupWriter) -> Backup:
    await writer.add("v1/secrets", [b"a"], [b"some bytes"])
    return await writer.commit(b"{}")


async def _holds_nothing(repository: Repository) -> None:
    assert await repository.backups() == []
    assert [each for each in (await verify(repository)).findings if not each.harmless] == []


async def test_the_name_of_a_backup_that_was_made_and_forgotten_is_not_begun_again() -> None:
    repository = await new_repository(Shelf())
    async with repository.writing(NAME) as writer:
        await _fill(writer)
    await repository.forget([NAME])
    with pytest.raises(ForgottenError):
        async with repository.writing(NAME):
            pass
    await _holds_nothing(repository)


async def test_a_backup_that_is_renounced_while_it_is_written_does_not_come() -> None:
    shelf = Shelf()
    repository = await new_repository(shelf)
    async with repository.writing(NAME) as writer:
        await (await reopen(shelf)).renounce(NAME)
        with pytest.raises(ForgottenError):
            await _fill(writer)
    assert shelf.names(BACKUPS) == []
    await _holds_nothing(repository)


async def test_a_backup_that_is_renounced_as_it_becomes_visible_is_taken_away_again() -> None:
    shelf = Shelf()
    repository = await new_repository(shelf)
    note = repository.access.sign(FORGOTTEN, NAME, ForgottenDocument(backup=NAME))

    def renounce(operation: str, name: str) -> None:
        if (operation, name) == ("create", f"{BACKUPS}/{NAME}"):
            shelf.blobs[f"{FORGOTTEN}/{NAME}"] = (note, shelf.now)

    shelf.before = renounce
    async with repository.writing(NAME) as writer:
        with pytest.raises(ForgottenError):
            await _fill(writer)
    assert shelf.names(BACKUPS) == []
    await _holds_nothing(repository)
