"""Who begins a run, and by which door: what the journal keeps to tell it later."""

import getpass
import os
import socket
from collections.abc import Mapping

import msgspec

# The console sets them for the commands that it starts on behalf of somebody.
PERSON = "SHIPKEEPER_PERSON"
DOOR = "SHIPKEEPER_DOOR"
_CLI = "cli"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A person, as the door knows them, and the door."""

    person: str
    door: str

    def environment(self) -> Mapping[str, str]:
        """What lets a command begin its run in this name."""
        return {PERSON: self.person, DOOR: self.door}


def origin() -> Origin:
    """Who runs this process: whoever its environment names, else its user on this machine."""
    person = os.environ.get(PERSON) or f"{_user()}@{socket.gethostname()}"
    return Origin(person=person, door=os.environ.get(DOOR) or _CLI)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user has no name.
        return str(os.getuid())
