"""What can go wrong with a sandbox as such."""

from shipkeeper.errors import ShipkeeperError


class SandboxError(ShipkeeperError):
    """A sandbox is unknown, did not start, or cannot be stopped."""
