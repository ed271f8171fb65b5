"""A private apt: reads this machine's Debian sources, writes only into its own directory.

It needs no root and leaves the machine's package lists, caches and packages as they are.
"""

import re
import shutil
from pathlib import Path

from shipkeeper.sandbox.assets.engines import NotServedError
from shipkeeper.sandbox.assets.workshop import Workshop

# apt reads this after the machine's own configuration, which may name a proxy that is needed. The
# machine's hooks are cleared, because they act on the machine's caches.
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{home}/sources";
Dir::State "{home}/state";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
"""
_TYPES = re.compile(r"^Types:.*$", re.MULTILINE)
_SOURCE_FIELDS = "Types: deb deb-src\nTargets: Packages Sources"


class PrivateApt:
    """apt-get with configuration, lists and downloads under one directory of a workshop."""

    def __init__(self, workshop: Workshop, *, release: str, etc: Path = Path("/etc/apt")) -> None:
        self._workshop = workshop
        self.home = workshop.scratch / "apt"
        self._configuration = self.home / "apt.conf"
        for directory in ("sources", "state/lists/partial", "cache/archives/partial", "downloads"):
            (self.home / directory).mkdir(parents=True)
        (self.home / "status").touch()
        self._configuration.write_text(_CONFIGURATION.format(home=self.home))
        if not _copy_sources(etc, self.home / "sources", release):
            raise NotServedError(f"no package source under {etc} is of Debian {release}")

    @property
    def downloads(self) -> Path:
        """Where downloaded packages lie."""
        return self.home / "downloads"

    def update(self) -> None:
        """Fetch the signed package lists."""
        self._run("fetching Debian's package lists", "update")

    def fetch_source(self, package: str) -> None:
        """Download a source package; apt compares each file with the signed list."""
        command = ("source", "--download-only", package)
        self._run(f"fetching Debian's source package {package}", *command)

    def fetch(self, *packages: str) -> None:
        """Download binary packages; apt compares each file with the signed list."""
        self._run(f"fetching {' '.join(packages)} from Debian", "download", *packages)

    def fetch_closure(self, package: str, target: Path) -> None:
        """Download a package with everything it needs, and unpack all of it."""
        command = ("install", "--download-only", "--no-install-recommends", "--yes", package)
        self._run(f"fetching {package} and what it needs from Debian", *command)
        for archive in sorted((self.home / "cache/archives").glob("*.deb")):
            self._workshop.run(f"unpacking {archive.name}", "dpkg-deb", "-x", archive, target)

    def unpack(self, package: str, target: Path) -> None:
        """Unpack a downloaded binary package without installing it."""
        for archive in self.downloads.glob(f"{package}_*.deb"):
            self._workshop.run(f"unpacking {package}", "dpkg-deb", "-x", archive, target)

    def _run(self, title: str, *arguments: str) -> None:
        command = ("apt-get", "-q", "-c", self._configuration, *arguments)
        self._workshop.run(title, *command, cwd=self.downloads)


def require_apt() -> None:
    """NotServedError unless this machine has Debian's package tools."""
    for tool in ("apt-get", "dpkg-deb", "tar"):
        if not shutil.which(tool):
            raise NotServedError(f"this machine has no {tool}")


def _copy_sources(etc: Path, target: Path, release: str) -> bool:
    stanzas = [
        f"{_TYPES.sub(_SOURCE_FIELDS, stanza)}\n"
        for file in sorted(etc.glob("sources.list.d/*.sources"))
        for stanza in _without_comments(file).split("\n\n")
        if _is_main(stanza, release)
    ]
    lines = [
        f"{line}\ndeb-src{line.removeprefix('deb')}\n"
        for file in (etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list")))
        if file.exists()
        for line in map(str.strip, _without_comments(file).splitlines())
        if line.startswith("deb ") and _is_main(line, release)
    ]
    (target / "debian.sources").write_text("\n".join(stanzas))
    (target / "debian.list").write_text("".join(lines))
    return bool(stanzas or lines)


def _without_comments(file: Path) -> str:
    lines = file.read_text().splitlines()
    return "\n".join(line.rstrip() for line in lines if not line.lstrip().startswith("#"))


def _is_main(source: str, release: str) -> bool:
    """Whether a stanza or line is of the release itself; others cost time and may be broken."""
    return {release, "main"} <= set(source.split())
