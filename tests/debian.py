"""Programs of Debian's packages, fetched once into the cache without installing anything."""

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


def unpacked(name: str, packages: tuple[str, ...], *, closure: bool = False) -> tuple[Path, Path]:
    """The tree of these packages, called `name` in the cache, and the libraries in it.

    With `closure` everything that they depend on is in it, too.
    """
    tree = cache_dir() / name
    tree.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(tree.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _fetch(tree, packages, lock, closure=closure)
    finally:
        os.close(lock)
    architecture = subprocess.run(
        ["dpkg-architecture", "-qDEB_HOST_MULTIARCH"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return tree, tree / "usr/lib" / (architecture or f"{platform.machine()}-linux-gnu")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _fetch(tree: Path, packages: tuple[str, ...], lock: int, *, closure: bool) -> None:
    require_apt()
    directory = tree.with_suffix(".part")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    workshop = Workshop.open(tree.name, directory, "debian", lock, _say)
    apt = PrivateApt(workshop, release=platform.freedesktop_os_release()["VERSION_CODENAME"])
    apt.update()
    if closure:
        for package in packages:
            apt.fetch_closure(package, directory)
    else:
        apt.fetch(*packages)
        for package in packages:
            apt.unpack(package, directory)
    shutil.rmtree(workshop.scratch)
    directory.rename(tree)
