"""The switch of a lab: a network namespace with a bridge, and no way out of it."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.lab.record import PREFIX, SWITCH_ADDRESS, HostRecord, hardware_address

BRIDGE = "switch"
_IP = "ip"
# Names are looked up in the lab's own hosts file, by whoever runs inside.
_WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


class Switch:
    """The network namespace `name`, whether it exists or not."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> Path:
        """The file that stands for the namespace."""
        return Path("/run/netns", self.name)

    def create(self, hosts: Iterable[HostRecord]) -> None:
        """Make the namespace and its bridge, with the ways to the hosts' pods."""
        if self.path.exists():
            return
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        card = ("address", hardware_address(0))
        _ip("-n", self.name, "link", "add", BRIDGE, *card, "type", "bridge")
        _ip("-n", self.name, "address", "add", f"{SWITCH_ADDRESS}/{PREFIX}", "dev", BRIDGE)
        _ip("-n", self.name, "link", "set", BRIDGE, "up")
        for host in hosts:
            _ip("-n", self.name, "route", "add", host.pod_cidr, "via", host.address)

    def remove(self) -> None:
        """Remove the namespace, if it is there."""
        if self.path.exists():
            _ip("netns", "delete", self.name)

    def unplug(self, host: str) -> None:
        """Take a host off the network at once: its connections get no goodbye."""
        subprocess.run(
            [_IP, "-n", self.name, "link", "set", host, "down"], capture_output=True, check=False
        )

    def inside(self, argv: tuple[str, ...], hosts_file: Path) -> tuple[str, ...]:
        """The command that runs `argv` in this namespace, knowing the hosts by name."""
        return (
            *("nsenter", f"--net={self.path}", "unshare", "--mount"),
            *("/bin/sh", "-c", _WITH_HOSTS, str(hosts_file), *argv),
        )


def _ip(*arguments: str) -> None:
    answer = subprocess.run([_IP, *arguments], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SandboxError(
            f"ip {' '.join(arguments)} failed: {answer.stderr.strip()}",
            reason="NoNetwork",
            hint="a lab needs network namespaces and bridges: see ip-netns(8)",
        )
