"""Finds sshd on this machine, or fetches it from Debian without installing anything."""

import os
import shutil
from pathlib import Path

from tests.debian import unpacked

# sshd and those of its libraries that a machine without it may lack.
_PACKAGES = ("openssh-server", "libwrap0")


def find_sshd() -> tuple[Path, Path | None]:
    """sshd, and the directory of the libraries that it needs besides the machine's own."""
    installed = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if installed:
        return Path(installed), None
    tree, libraries = unpacked("openssh-server", _PACKAGES)
    return tree / "usr/sbin/sshd", libraries
