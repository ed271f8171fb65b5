"""The root of every error that shipkeeper explains to its user, and the exit codes."""

from typing import ClassVar

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_FINDINGS = 4
EXIT_BLOCKED = 5
EXIT_LOCK_HELD = 6
EXIT_INTERRUPTED = 130


class ShipkeeperError(Exception):
    """A failure with a CamelCase reason, one clear sentence, and a hint what to do."""

    exit_code: ClassVar[int] = EXIT_ERROR

    def __init__(self, message: str, *, reason: str = "Error", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.hint = hint


class UsageError(ShipkeeperError):
    """The command line, or a value in it, does not make sense."""

    exit_code = EXIT_USAGE


class IncompleteError(ShipkeeperError):
    """The work ended, but a part of it, named in the message, is missing."""

    exit_code = EXIT_INCOMPLETE


class BlockedError(ShipkeeperError):
    """A budget, a window or a policy forbids going on."""

    exit_code = EXIT_BLOCKED


class LockHeldError(ShipkeeperError):
    """Another run holds the lock."""

    exit_code = EXIT_LOCK_HELD


class InterruptedRunError(ShipkeeperError):
    """The user stopped the run; it can be resumed."""

    exit_code = EXIT_INTERRUPTED
