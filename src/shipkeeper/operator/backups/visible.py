"""What is visible in a repository of what a Backup asked for."""

import msgspec

from shipkeeper.backup.contents import Contents, decode_contents
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup


class Taken(msgspec.Struct, frozen=True):
    """A backup that is visible now."""

    backup: Backup
    contents: Contents


async def visible(opened: Repository, id_: str) -> Taken | None:
    """The backup of a name, if it is visible."""
    found = next((each for each in await opened.backups() if each.name == id_), None)
    if found is None:
        return None
    return Taken(found, decode_contents(found.summary, found.name))
