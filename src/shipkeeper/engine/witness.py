"""Who remembers the cluster's Lease for longer than a process lives."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from shipkeeper.model.lease import Lease


class Mark(msgspec.Struct, frozen=True):
    """What a run saw last of the cluster's Lease, and by which URL of the API server.

    `transitions` is the number of the taking by which it held it, `acquired` the time of that.
    """

    run: str
    server: str
    lease: str
    revision: str
    transitions: int
    acquired: str


class Witness(Protocol):
    """Told what the Lease is, before it is taken and while it is held."""

    def marks(self) -> Sequence[Mark]:
        """What is remembered by now, of all runs."""
        ...

    def found(self, lease: Lease, marks: Sequence[Mark]) -> None:
        """Heed a Lease that was read after these; what this raises keeps it from being taken."""
        ...

    async def kept(self, lease: Lease) -> None:
        """Remember it as it is since it was taken, or renewed."""
        ...


class Unwitnessed:
    """Nobody remembers anything."""

    def marks(self) -> Sequence[Mark]:
        """None."""
        return ()

    def found(self, lease: Lease, marks: Sequence[Mark]) -> None:
        """There is no earlier one to compare it with."""

    async def kept(self, lease: Lease) -> None:
        """Nobody has to remember it."""


NOBODY = Unwitnessed()
