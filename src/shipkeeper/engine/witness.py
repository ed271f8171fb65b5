"""Who remembers the cluster's Lease for longer than a process lives."""

from typing import Protocol

from shipkeeper.model.lease import Lease


class Witness(Protocol):
    """Told what the Lease is, before it is taken and while it is held."""

    def found(self, lease: Lease) -> None:
        """Heed it as it is, held by nobody of us; what this raises keeps it from being taken."""
        ...

    async def kept(self, lease: Lease) -> None:
        """Remember it as it is since it was taken, or renewed."""
        ...


class Unwitnessed:
    """Nobody remembers anything."""

    def found(self, lease: Lease) -> None:
        """There is no earlier one to compare it with."""

    async def kept(self, lease: Lease) -> None:
        """Nobody has to remember it."""


NOBODY = Unwitnessed()
