"""A file for node_exporter's textfile collector, replaced as a whole.

https://github.com/prometheus/node_exporter#textfile-collector: a reader sees the file before or
after, never half of it.
"""

import os
import tempfile
from pathlib import Path

from shipkeeper.errors import ShipkeeperError


class MetricsFileError(ShipkeeperError):
    """The metrics cannot be written to their file."""


def read_text(path: Path) -> str:
    """What stands in the file; nothing if there is none yet."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unusable(path, error) from error


def replace_text(path: Path, text: str) -> None:
    """Write the file anew, readable for all; MetricsFileError if that cannot be done."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            # node_exporter runs as another user.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> MetricsFileError:
    return MetricsFileError(
        f"cannot write metrics to {path}: {error.strerror}",
        reason="MetricsFile",
        hint="name a file in a directory that you may write to with --metrics-file",
    )
