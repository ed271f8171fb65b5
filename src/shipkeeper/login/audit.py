"""The gateway's audit log: a line of JSON for each decision, without passwords and tokens."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from shipkeeper.errors import UsageError

Event = Literal["login", "renew", "review"]


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was asked, by whom, and what was answered, and why.

    A login that no entry has could be a password in the wrong place: it has a pseudonym instead.
    """

    time: datetime
    event: Event
    allowed: bool
    reason: str
    client: str
    login: str = ""
    pseudonym: str = ""
    user: str = ""
    session: str = ""
    groups: int = 0
    detail: str = ""


class AuditLog:
    """Appends to a file, or hands lines to `say` where that is called `-`."""

    def __init__(self, place: str, say: Callable[[str], None]) -> None:
        self._say = say
        self._file = None
        if place != "-":
            path = Path(place)
            try:
                # Each line reaches the file at once; a file that was moved away is not followed.
                path.touch(mode=0o600)
                self._file = path.open("a", buffering=1)
            except OSError as error:
                raise UsageError(
                    f"cannot write the audit log {place}: {error.strerror}",
                    reason="NoAuditLog",
                    hint="name a file in a directory that can be written, or - for stderr",
                ) from error

    def write(self, decision: Decision) -> None:
        """Write one line."""
        line = msgspec.json.encode(decision).decode()
        if self._file is None:
            self._say(line)
        else:
            self._file.write(f"{line}\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def now() -> datetime:
    """This moment, for decisions and tokens."""
    return datetime.now(UTC)
