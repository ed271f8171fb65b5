"""Why a host could not be reached, or could not do what it was asked."""

from shipkeeper.errors import ShipkeeperError


class HostError(ShipkeeperError):
    """Something about one host."""


class HostUnreachableError(HostError):
    """No answer from the host's SSH port, in time or at all; it may answer later."""


class ConnectionLostError(HostError):
    """A connection that stood is gone; what runs on the host goes on."""


class HostKeyError(HostError):
    """The host did not prove who it is: its key is unknown or another one."""


class AuthenticationFailedError(HostError):
    """The host is the right one, but it does not let us in."""


class IdentityError(HostError):
    """A private key file, or known_hosts, cannot be read."""


class HostUnfitError(HostError):
    """We are in, but the host cannot run commands for us: a tool, sudo or disk space is missing."""


class HostRebootedError(HostError):
    """The host was booted anew while a command ran that was not expected to do so."""


class CommandLostError(HostError):
    """A command ended without its exit code, or its record is another command's."""


class CommandTimedOutError(HostError):
    """A command took longer than it was allowed to."""
