"""One host of a lab: its power, its processes, and commands run inside."""

import subprocess
import time
from pathlib import Path
from typing import IO

from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.lab import cgroups
from shipkeeper.sandbox.lab.layout import LabLayout
from shipkeeper.sandbox.lab.network import BRIDGE, Switch
from shipkeeper.sandbox.lab.power import Power
from shipkeeper.sandbox.lab.record import PREFIX, HostRecord, LabRecord, hardware_address

_SERVICES = ("containerd", "ssh")
_BOOT_SECONDS = 120.0
_POLL_SECONDS = 0.1
_ENVIRONMENT = (
    *("env", "-i", "HOME=/root", "LANG=C.UTF-8", "KUBECONFIG=/etc/kubernetes/admin.conf"),
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


class Host:
    """A host that exists, powered or not."""

    def __init__(self, layout: LabLayout, lab: LabRecord, record: HostRecord) -> None:
        self._lab_layout = layout
        self._lab = lab
        self._record = record
        self._layout = layout.host(record.name)
        self._switch = Switch(layout.tag)
        self.power = Power(self._layout)
        self.name = record.name
        self.address = record.address
        self.role = record.role

    @property
    def is_on(self) -> bool:
        """Whether it has power: also while it boots, or boots again."""
        return self.power.is_on

    @property
    def boot_id(self) -> str:
        """The boot ID of its current or last boot; empty before the first."""
        try:
            return self._layout.boot_id.read_text().strip()
        except FileNotFoundError:
            return ""

    @property
    def root(self) -> Path:
        """What the host wrote over its common root, as seen from this machine."""
        return self._layout.upper

    def power_on(self) -> None:
        """Give it power; returns at once. One that has power is left as it is."""
        if self.is_on:
            return
        places = cgroups.create(self._lab_layout.tag, self.name)
        self.power.give(self._environment(" ".join(map(str, places))))

    def cut_power(self) -> None:
        """Take it off the network and end all of its processes, without any warning to them."""
        self._switch.unplug(self.name)
        self.power.cut()

    def reboot(self) -> str:
        """Let it shut down in good order and boot again; returns the new boot ID when it is up."""
        before = self.boot_id
        self.run("systemctl", "reboot", check=False)
        self.wait_until_up(other_than=before)
        return self.boot_id

    def wait_until_up(self, *, other_than: str = "") -> None:
        """Wait until sshd and containerd serve, in another boot than `other_than`."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while self.boot_id == other_than or not self._serves():
            if time.monotonic() > deadline or not self.is_on:
                raise SandboxError(
                    f"host {self.name} does not boot",
                    reason="HostDown",
                    hint=f"see what it printed: {self._layout.log}",
                )
            time.sleep(_POLL_SECONDS)

    def command(self, *argv: str) -> tuple[str, ...]:
        """The command that runs `argv` inside, as root; SandboxError while it is not up."""
        init = self.power.init
        if init is None or not Path(f"/proc/{init.pid}/root/run/systemd/system").exists():
            raise SandboxError(
                f"host {self.name} is not up",
                reason="HostDown",
                hint=f"give it power: shipkeeper sandbox host power-on {self.name}",
            )
        enter = ("nsenter", f"--target={init.pid}", "--all", "--root", "--wd")
        return (*enter, *_ENVIRONMENT, *argv)

    def run(
        self,
        *argv: str,
        check: bool = True,
        stdin: IO[bytes] | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root; SandboxError if it fails, unless `check` is false."""
        answer = subprocess.run(
            self.command(*argv),
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and answer.returncode:
            raise SandboxError(
                f"{argv[0]} failed on {self.name} (exit code {answer.returncode}): "
                f"{(answer.stderr or answer.stdout).strip()[-2000:]}",
                reason="CommandFailed",
            )
        return answer

    def _serves(self) -> bool:
        try:
            return not self.run("systemctl", "is-active", "-q", *_SERVICES, check=False).returncode
        except SandboxError:
            return False

    def _environment(self, places: str) -> dict[str, str]:
        """What `mains.sh` and the scripts it starts are told."""
        others = [each for each in self._lab.hosts if each.name != self.name]
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOST": self.name,
            "DIRECTORY": str(self._layout.directory),
            "LOWER": f"{self._lab_layout.layer}:{self._lab.base}",
            "SWITCH": self._switch.name,
            "BRIDGE": BRIDGE,
            "ADDRESS": f"{self.address}/{PREFIX}",
            "HARDWARE_ADDRESS": hardware_address(self._record.number),
            "ROUTES": " ".join(f"{each.pod_cidr}@{each.address}" for each in others),
            "CGROUPS": places,
            "CGROUP_MOUNTS": "\n".join(each.mount_words for each in cgroups.hierarchies()),
        }
