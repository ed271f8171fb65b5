"""What a way to a host looks like, whatever it goes through (SSH, a pod on the node)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a shell program ended on the host, and what it printed to its standard error."""

    exit_code: int
    errors: str


class Session(Protocol):
    """An open way in; every call may raise ConnectionLostError."""

    async def execute(self, program: str, output: Callable[[bytes], None]) -> Answer:
        """Feed `program` to a POSIX shell on the host; what it prints comes to `output`."""
        ...


class Host(Protocol):
    """A host that shell programs can be run on."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Connect; HostUnreachableError if it does not answer."""
        ...
