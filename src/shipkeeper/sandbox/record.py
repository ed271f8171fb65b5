"""What is known of a sandbox between two commands: `sandbox.json`."""

from datetime import datetime
from typing import Any

import msgspec

from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.layout import Layout, sandbox_names
from shipkeeper.sandbox.process import ProcessIdentity


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The loopback TCP port of each component."""

    etcd: int
    api_server: int
    controller_manager: int
    scheduler: int


class StartedComponent(msgspec.Struct, frozen=True, kw_only=True):
    """A component as it was last started."""

    command: tuple[str, ...]
    process: ProcessIdentity

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.is_alive


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox: what was asked for, and what was started for it.

    `is_unborn` until its etcd was healthy for the first time.
    """

    version: str
    created: datetime
    node_monitor_grace_seconds: int | None
    ports: Ports
    components: dict[str, StartedComponent] = {}
    is_unborn: bool = False

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self.ports.api_server}"


def read_record(layout: Layout) -> SandboxRecord:
    """The record of a sandbox; SandboxError when there is none, or it is damaged."""
    try:
        return msgspec.json.decode(layout.record.read_bytes(), type=SandboxRecord)
    except FileNotFoundError as error:
        known = ", ".join(sandbox_names())
        raise SandboxError(
            f"there is no sandbox {layout.name}",
            reason="NoSandbox",
            hint=f"there are: {known}" if known else "make one with: shipkeeper sandbox up",
        ) from error
    except msgspec.DecodeError as error:
        raise SandboxError(
            f"the record of sandbox {layout.name} is damaged: {error}",
            reason="DamagedRecord",
            hint=f"end the processes that name {layout.directory}, then remove that directory",
        ) from error


def write_record(layout: Layout, record: SandboxRecord) -> None:
    """Replace the record as a whole."""
    write_private(layout.record, msgspec.json.format(msgspec.json.encode(record)))


def change_record(layout: Layout, **fields: Any) -> SandboxRecord:
    """Replace fields of the record and return it as it is then."""
    record = msgspec.structs.replace(read_record(layout), **fields)
    write_record(layout, record)
    return record
