"""Where a lab keeps its files."""

import hashlib
from pathlib import Path

import msgspec

from shipkeeper.sandbox.layout import Layout, sandboxes_dir


def lab_names() -> list[str]:
    """Every lab of this user, running or not."""
    return sorted(path.parent.name for path in sandboxes_dir().glob("[!.]*/lab.json"))


class HostLayout(msgspec.Struct, frozen=True):
    """The paths of one host: its disks, and what is known of its process."""

    directory: Path

    @property
    def upper(self) -> Path:
        """What the host has written over the common layers of its root."""
        return self.directory / "upper"

    @property
    def supervisor(self) -> Path:
        """Who the process is that keeps the host powered."""
        return self.directory / "supervisor.json"

    @property
    def init(self) -> Path:
        """The line of proc(5)'s `stat` of the host's PID 1, as this machine sees it."""
        return self.directory / "init"

    @property
    def boot_id(self) -> Path:
        """The boot ID that the host has now."""
        return self.directory / "boot-id"

    @property
    def log(self) -> Path:
        """What was printed while the host booted."""
        return self.directory / "logs" / "boot.log"

    def create(self) -> None:
        """Make the empty disks."""
        for name in ("upper", "work", "root", "sysctl"):
            (self.directory / name).mkdir(parents=True)
        for name in ("containerd", "kubelet", "etcd"):
            (self.directory / "disk" / name).mkdir(parents=True)


class LabLayout(Layout, frozen=True):
    """The paths inside one lab's directory; it shares its names with the sandboxes."""

    @property
    def tag(self) -> str:
        """What the lab's network namespace and cgroups are called on this machine."""
        return f"lab-{hashlib.sha256(bytes(self.directory)).hexdigest()[:10]}"

    @property
    def record(self) -> Path:
        """The lab's record (`record.py`)."""
        return self.directory / "lab.json"

    @property
    def layer(self) -> Path:
        """The layer of the hosts' roots that is common to this lab's hosts."""
        return self.directory / "layer"

    @property
    def hosts_file(self) -> Path:
        """`/etc/hosts` as processes inside the lab's network see it."""
        return self.directory / "hosts.txt"

    @property
    def ssh_key(self) -> Path:
        """The private key that opens every host."""
        return self.directory / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The public host keys."""
        return self.directory / "ssh" / "known_hosts"

    def host(self, name: str) -> HostLayout:
        """The paths of one host."""
        return HostLayout(self.directory / "hosts" / name)
