"""Passwords out of files that nobody else may read."""

import stat
from pathlib import Path

from shipkeeper.errors import UsageError


def read_password(name: str) -> str:
    """The first line of a file; UsageError if others than its owner may read it."""
    path = Path(name)
    try:
        is_open = stat.S_IMODE(path.stat().st_mode) & 0o077
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the password in {name}: {error}",
            reason="NoPassword",
            hint="name a file of one line",
        ) from error
    if is_open or not lines:
        why = "others may read it" if is_open else "it is empty"
        raise UsageError(
            f"the password in {name} is not used: {why}",
            reason="NoPassword",
            hint=f"chmod 600 {name}, with the password in its first line",
        )
    return lines[0]
