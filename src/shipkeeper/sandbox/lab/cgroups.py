"""A cgroup of its own for each host, in every hierarchy that the machine has mounted.

Leaving one out would let the host's systemd and kubelet write into the machine's root cgroup.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

import msgspec

from shipkeeper.sandbox.errors import SandboxError

_ROOT = Path("/sys/fs/cgroup")
# Mount options that say how a hierarchy is used, not which one it is.
_COMMON_OPTIONS = {"rw", "ro", "nosuid", "nodev", "noexec", "relatime", "nsdelegate"}
_PATIENCE_SECONDS = 10.0


class Hierarchy(msgspec.Struct, frozen=True, kw_only=True):
    """One mounted cgroup hierarchy; `name` is its place below /sys/fs/cgroup."""

    name: str
    type: str
    options: str

    @property
    def root(self) -> Path:
        """Where it is mounted."""
        return _ROOT / self.name

    @property
    def mount_words(self) -> str:
        """What mounts it again inside a host: name, type, options."""
        return f"{self.name} {self.type} {self.options}"


def hierarchies() -> tuple[Hierarchy, ...]:
    """Every cgroup hierarchy of this machine."""
    found: dict[str, Hierarchy] = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(place).is_relative_to(_ROOT):
            name = str(Path(place).relative_to(_ROOT))
            found[name] = Hierarchy(name=name, type=kind, options=_options(kind, options))
    return tuple(found.values())


def create(tag: str, host: str) -> tuple[Path, ...]:
    """Make the cgroups of a host; returns their directories."""
    places: list[Path] = []
    for each in hierarchies():
        for parent, place in _steps(each, tag, host):
            _delegate(each, parent)
            place.mkdir(exist_ok=True)
            _inherit_cpuset(parent, place)
        places.append(each.root / tag / host)
    return tuple(places)


def remove(tag: str) -> None:
    """End whatever still runs in a lab's cgroups, and remove them."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := [each.root / tag for each in hierarchies() if (each.root / tag).exists()]:
        for place in left:
            _kill(place)
            _remove_tree(place)
        if time.monotonic() > deadline:
            raise SandboxError(
                f"the cgroup {left[0]} cannot be removed",
                reason="CgroupBusy",
                hint="see which processes its cgroup.procs names",
            )
        time.sleep(0.02)


def leftovers(tag: str) -> list[Path]:
    """The cgroups of a lab that still exist."""
    return [each.root / tag for each in hierarchies() if (each.root / tag).exists()]


def _options(kind: str, options: str) -> str:
    if kind == "cgroup2":
        return "rw"
    controllers = [each for each in options.split(",") if each not in _COMMON_OPTIONS]
    named = any(each.startswith("name=") for each in controllers)
    return ",".join(["none", *controllers] if named else controllers)


def _steps(hierarchy: Hierarchy, tag: str, host: str) -> tuple[tuple[Path, Path], ...]:
    top = hierarchy.root / tag
    return (hierarchy.root, top), (top, top / host)


def _delegate(hierarchy: Hierarchy, parent: Path) -> None:
    """Let the children of a cgroup v2 have its controllers."""
    if hierarchy.type != "cgroup2":
        return
    controllers = (parent / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in controllers)
    if wanted:
        (parent / "cgroup.subtree_control").write_text(wanted)


def _inherit_cpuset(parent: Path, place: Path) -> None:
    """A cpuset of cgroup v1 takes no process before it has CPUs and memory."""
    for knob in ("cpuset.cpus", "cpuset.mems"):
        if (place / knob).exists() and (parent / knob).exists():
            (place / knob).write_text((parent / knob).read_text())


def _kill(place: Path) -> None:
    for file in place.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            for pid in map(int, file.read_text().split()):
                os.kill(pid, signal.SIGKILL)


def _remove_tree(place: Path) -> None:
    for folder, _, _ in os.walk(place, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
