"""Finds sshd on this machine, or fetches it from Debian without installing anything."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.apt import PrivateApt, require_apt
from shipkeeper.sandbox.assets.workshop import Workshop

# sshd and those of its libraries that a machine without it may lack.
_PACKAGES = ("openssh-server", "libwrap0")


def find_sshd() -> tuple[Path, Path | None]:
    """sshd, and the directory of the libraries that it needs besides the machine's own."""
    installed = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if installed:
        return Path(installed), None
    tree = cache_dir() / "openssh-server"
    tree.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(tree.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _fetch(tree, lock)
    finally:
        os.close(lock)
    libraries = subprocess.run(
        ["dpkg-architecture", "-qDEB_HOST_MULTIARCH"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return tree / "usr/sbin/sshd", tree / "usr/lib" / (
        libraries or f"{platform.machine()}-linux-gnu"
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _fetch(tree: Path, lock: int) -> None:
    require_apt()
    directory = tree.with_suffix(".part")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    workshop = Workshop.open("openssh-server", directory, "debian", lock, _say)
    apt = PrivateApt(workshop, release=platform.freedesktop_os_release()["VERSION_CODENAME"])
    apt.update()
    apt.fetch(*_PACKAGES)
    for package in _PACKAGES:
        apt.unpack(package, directory)
    shutil.rmtree(workshop.scratch)
    directory.rename(tree)
