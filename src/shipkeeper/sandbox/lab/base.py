"""The Debian that every host starts from: made once, kept in the cache, never written to again.

A root of its own and not this machine's: what runs here does not show up there, and apt and dpkg
work there as on any Debian host.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.apt import PrivateApt, require_apt
from shipkeeper.sandbox.assets.engines import AssetsError, NotServedError, Say
from shipkeeper.sandbox.assets.store import exclusively
from shipkeeper.sandbox.assets.workshop import Workshop

_RELEASE = "bookworm"
_BOOTSTRAP = "mmdebstrap"
_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "procps", "kmod", "iproute2"),
    *("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack"),
    *("socat", "ethtool", "ca-certificates", "busybox-static"),
)
# Everything else that Debian starts at boot belongs to hardware, or to the machine below.
_WANTED = {
    "sysinit.target.wants": ("systemd-journald.service", "systemd-journal-flush.service"),
    "sockets.target.wants": (
        *("systemd-journald.socket", "systemd-journald-dev-log.socket", "dbus.socket"),
    ),
    "multi-user.target.wants": ("ssh.service",),
}
_MASKED = (
    *("systemd-udevd.service", "systemd-remount-fs.service"),
    *("systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service"),
)
USER = "ops"
# Written into the directory's name, so that another recipe gets another root.
_RECIPE = repr((_RELEASE, _PACKAGES, _WANTED, _MASKED, USER, 1))


def find_base(say: Say) -> Path:
    """The root directory, made now unless it is in the cache; AssetsError when it cannot be had."""
    folder = cache_dir() / "lab-roots"
    name = f"{_RELEASE}-{hashlib.sha256(_RECIPE.encode()).hexdigest()[:10]}"
    root = folder / name
    if root.exists():
        return root
    try:
        with exclusively(folder, name, say) as lock:
            if not root.exists():
                _make(folder, name, lock, say)
    except (NotServedError, OSError) as error:
        raise AssetsError(
            f"the hosts' Debian cannot be made: {error}",
            reason="NoBase",
            hint="a lab's first start needs a Debian machine whose apt reaches its mirror",
        ) from error
    return root


def _make(folder: Path, name: str, lock: int, say: Say) -> None:
    require_apt()
    partial = folder / f".{name}.partial"
    _discard(partial)
    workshop = Workshop.open(_RELEASE, partial, "lab-root", lock, say)
    try:
        apt = PrivateApt(workshop, release=_RELEASE)
        apt.update()
        apt.fetch(_BOOTSTRAP)
        apt.unpack(_BOOTSTRAP, workshop.scratch / _BOOTSTRAP)
        root = partial / "root"
        _bootstrap(workshop, apt, root)
        _trim(root)
        root.rename(folder / name)
    finally:
        _discard(partial)


def _bootstrap(workshop: Workshop, apt: PrivateApt, root: Path) -> None:
    temporary = workshop.scratch / "tmp"
    temporary.mkdir()
    workshop.run(
        "installing Debian for the hosts of labs",
        *("perl", workshop.scratch / _BOOTSTRAP / "usr/bin/mmdebstrap"),
        *("--mode=root", "--variant=apt", f"--include={','.join(_PACKAGES)}"),
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        f'--customize-hook=chroot "$1" useradd --create-home --shell /bin/bash {USER}',
        *(_RELEASE, root, *sorted((apt.home / "sources").iterdir())),
        environment={"TMPDIR": str(temporary)},
    )


def _trim(root: Path) -> None:
    """Leave at boot only what a node needs, and nothing that tells hosts from one another."""
    units = root / "etc/systemd/system"
    for tree in (units, root / "lib/systemd/system"):
        for folder in tree.glob("*.wants"):
            if tree == units or folder.name in (*_WANTED, "basic.target.wants", _LOCAL_FS):
                shutil.rmtree(folder)
    for target, names in _WANTED.items():
        (units / target).mkdir(exist_ok=True)
        for name in names:
            (units / target / name).symlink_to(f"/lib/systemd/system/{name}")
    for name in _MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in ("fstab", "machine-id", "resolv.conf"):
        (root / "etc" / name).write_text("")


_LOCAL_FS = "local-fs.target.wants"


def _discard(directory: Path) -> None:
    """Remove a directory, unless something is still mounted in it."""
    mounted = re.search(rf" {re.escape(str(directory))}[/ ]", Path("/proc/mounts").read_text())
    if mounted:
        raise NotServedError(f"something is mounted in {directory}: unmount it")
    if os.path.lexists(directory):
        shutil.rmtree(directory)
