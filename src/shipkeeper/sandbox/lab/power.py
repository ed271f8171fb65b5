"""The power of one host: the process that keeps it running, and the host's own PID 1."""

import os
import signal
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from shipkeeper.sandbox import process
from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.lab.layout import HostLayout
from shipkeeper.sandbox.process import ProcessIdentity

_MAINS = Path(__file__).with_name("mains.sh")
_AFTER_KILL = timedelta(seconds=20)


class Power:
    """Knows a host by its directory alone, so that it can be ended whatever else is lost."""

    def __init__(self, layout: HostLayout) -> None:
        self._layout = layout

    @property
    def is_on(self) -> bool:
        """Whether the host has power: also while it boots, or boots again."""
        supervisor = self.supervisor
        return supervisor is not None and supervisor.is_alive

    @property
    def supervisor(self) -> ProcessIdentity | None:
        """The process that was last started to keep the host running."""
        try:
            return msgspec.json.decode(self._layout.supervisor.read_bytes(), type=ProcessIdentity)
        except FileNotFoundError:
            return None

    @property
    def init(self) -> ProcessIdentity | None:
        """The host's PID 1 as this machine sees it; None when it has none."""
        supervisor = self.supervisor
        try:
            stat = self._layout.init.read_text()
        except FileNotFoundError:
            return None
        if supervisor is None:
            return None
        pid, started = int(stat.split()[0]), int(stat.rpartition(")")[2].split()[19])
        found = ProcessIdentity(pid=pid, started_ticks=started, boot_id=supervisor.boot_id)
        return found if found.is_alive else None

    def give(self, environment: Mapping[str, str]) -> None:
        """Start the host, as `mains.sh` does it with this environment; returns at once."""
        process.start(
            ("/bin/sh", str(_MAINS)),
            self._layout.log,
            environment,
            lambda identity: write_private(self._layout.supervisor, msgspec.json.encode(identity)),
        )

    def cut(self) -> None:
        """End all of the host's processes without any warning to them."""
        supervisor, init = self.supervisor, self.init
        if supervisor and supervisor.is_alive:
            # The host's PID 1 dies with its parent, and takes every other process along.
            os.killpg(supervisor.pid, signal.SIGKILL)
            process.stop(supervisor, _AFTER_KILL)
        if init and not process.has_ended(init, _AFTER_KILL):
            raise SandboxError(
                f"host {self._layout.directory.name} lives on without power",
                reason="ProcessNotKilled",
                hint=f"look at its state in /proc/{init.pid}/status",
            )
