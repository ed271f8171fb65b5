"""Running one command line, and what its failures look like: one line, a hint, an exit code."""

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from cyclopts import CycloptsError

from shipkeeper.cli.app import app
from shipkeeper.cli.output import say
from shipkeeper.errors import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    ShipkeeperError,
)
from shipkeeper.paths import state_dir


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code; nothing is raised."""
    try:
        result = app(
            _as_kubectl_reads_them(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        return _explain(str(error).strip(), _usage_hint(error), EXIT_USAGE)
    except ShipkeeperError as error:
        return _explain(error.message, error.hint, error.exit_code)
    except KeyboardInterrupt:
        return _explain("interrupted", "", EXIT_INTERRUPTED)
    except Exception as error:
        return _unexpected(error)
    return result if isinstance(result, int) else EXIT_OK


def _as_kubectl_reads_them(arguments: list[str]) -> list[str]:
    """`--dry-run` may stand without a value, and then means client."""
    if "--dry-run" not in arguments:
        return arguments
    say("--dry-run is deprecated and can be replaced with --dry-run=client.")
    return ["--dry-run=client" if each == "--dry-run" else each for each in arguments]


def _explain(message: str, hint: str, exit_code: int) -> int:
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    return exit_code


def _usage_hint(error: CycloptsError) -> str:
    command = " ".join(("shipkeeper", *(error.command_chain or ())))
    return f"see: {command} --help"


def _unexpected(error: Exception) -> int:
    """A bug: the user gets one line, whoever mends it gets the traceback."""
    if os.environ.get("SHIPKEEPER_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
        return EXIT_ERROR
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        hint = f"the traceback is in {save_crash(error)}; please report it"
    except OSError:
        hint = "see the traceback with SHIPKEEPER_DEBUG=1, and please report it"
    return _explain(f"this is a bug in shipkeeper: {what}", hint, EXIT_ERROR)


def save_crash(error: Exception) -> Path:
    """Write a traceback down for whoever mends the bug; OSError if it cannot be."""
    directory = state_dir() / "crashes"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    path.write_text("".join(traceback.format_exception(error)))
    return path
