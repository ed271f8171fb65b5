"""What a failure looks like: one line, a hint, an exit code."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cyclopts import CycloptsError

from shipkeeper.cli.output import say
from shipkeeper.errors import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE, ShipkeeperError
from shipkeeper.paths import state_dir


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a command line ended with, and what to do about it."""

    message: str
    hint: str
    exit_code: int = msgspec.field(name="exitCode")

    def tell(self, where: str = "") -> None:
        """Say it on stderr; `where` names the cluster that it is about, among several."""
        place = f"{where}: " if where else ""
        say(f"error: {place}{self.message}")
        if self.hint:
            say(f"hint: {place}{self.hint}")


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for; of a bug the traceback is kept in a file."""
    match error:
        case CycloptsError():
            return Failure(str(error).strip(), _usage_hint(error), EXIT_USAGE)
        case ShipkeeperError():
            return Failure(error.message, error.hint, error.exit_code)
        case KeyboardInterrupt():
            return Failure("interrupted", "", EXIT_INTERRUPTED)
        case Exception():
            return _unexpected(error)
        case _:
            raise error


def _usage_hint(error: CycloptsError) -> str:
    command = " ".join(("shipkeeper", *(error.command_chain or ())))
    return f"see: {command} --help"


def _unexpected(error: Exception) -> Failure:
    """A bug: the user gets one line, whoever mends it gets the traceback."""
    if os.environ.get("SHIPKEEPER_DEBUG"):
        # Here and not above: a command line must answer at once.
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        hint = f"the traceback is in {save_crash(error)}; please report it"
    except OSError:
        hint = "see the traceback with SHIPKEEPER_DEBUG=1, and please report it"
    return Failure(f"this is a bug in shipkeeper: {what}", hint, EXIT_ERROR)


def save_crash(error: Exception) -> Path:
    """Write a traceback down for whoever mends the bug; OSError if it cannot be."""
    import traceback

    directory = state_dir() / "crashes"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    path.write_text("".join(traceback.format_exception(error)))
    return path
