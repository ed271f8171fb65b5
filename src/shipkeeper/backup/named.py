"""What has a kind, a namespace and a name, wherever it is kept."""

from typing import Protocol

from shipkeeper.backup.kinds import Kind


class Named(Protocol):
    """An object by its name."""

    @property
    def kind(self) -> Kind:
        """Its kind."""
        ...

    @property
    def namespace(self) -> str:
        """Its namespace, empty if it has none."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...
