"""First way: engines that are on this machine already, named by SHIPKEEPER_ASSETS or on PATH."""

import hashlib
import os
import shutil
from pathlib import Path

from shipkeeper.sandbox.assets.engines import (
    CONTROL_PLANE,
    Assets,
    Kit,
    NotServedError,
    require_version,
)
from shipkeeper.sandbox.assets.store import kit_dir

VARIABLE = "SHIPKEEPER_ASSETS"


def named(version: str, kit: Kit = CONTROL_PLANE) -> Assets:
    """The engines in the directory that SHIPKEEPER_ASSETS names, if they report `version`."""
    value = os.environ.get(VARIABLE)
    if not value:
        raise NotServedError("the variable is not set")
    directory = Path(value).absolute()
    require_version(directory, version, kit)
    return Assets(kubernetes_version=version, directory=directory, source=VARIABLE)


def on_path(version: str, kit: Kit = CONTROL_PLANE) -> Assets:
    """The engines on PATH, if they report `version`."""
    found = {name: shutil.which(name) for name in kit.names}
    places = {name: Path(place).absolute() for name, place in found.items() if place}
    if missing := [name for name in kit.names if name not in places]:
        raise NotServedError(f"it has no {', '.join(missing)}")
    folders = {place.parent for place in places.values()}
    directory = folders.pop() if len(folders) == 1 else _gather(places, kit)
    require_version(directory, version, kit)
    return Assets(kubernetes_version=version, directory=directory, source="PATH")


def _gather(places: dict[str, Path], kit: Kit) -> Path:
    """One directory of links to engines that lie apart, named after what it links to."""
    digest = hashlib.sha256("\0".join(map(str, places.values())).encode()).hexdigest()
    directory = kit_dir(kit) / f"path-{digest[:16]}"
    directory.mkdir(parents=True, exist_ok=True)
    for name, place in places.items():
        link = directory / name
        if not link.is_symlink():
            fresh = directory / f".{name}.{os.getpid()}"
            fresh.symlink_to(place)
            fresh.replace(link)
    return directory
