"""What can be told of a sandbox without asking it."""

from datetime import datetime
from pathlib import Path

import msgspec

from shipkeeper.sandbox import names
from shipkeeper.sandbox.layout import Layout
from shipkeeper.sandbox.record import SandboxRecord, StartedComponent

RUNNING = "Running"
DEGRADED = "Degraded"
STOPPED = "Stopped"


class ComponentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process: `state` is Running or Stopped; a stopped one has no pid."""

    name: str
    state: str
    pid: int | None


class SandboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox: `state` is Running, Stopped, or Degraded when only some components run."""

    name: str
    version: str
    state: str
    server: str
    kubeconfig: Path
    created: datetime
    components: tuple[ComponentStatus, ...]


def read_status(layout: Layout, record: SandboxRecord) -> SandboxStatus:
    """Look which processes of a sandbox run."""
    components = tuple(_component(name, record.components.get(name)) for name in names.COMPONENTS)
    states = {each.state for each in components}
    return SandboxStatus(
        name=layout.name,
        version=record.version,
        state=states.pop() if len(states) == 1 else DEGRADED,
        server=record.server,
        kubeconfig=layout.kubeconfig(names.ADMIN),
        created=record.created,
        components=components,
    )


def _component(name: str, started: StartedComponent | None) -> ComponentStatus:
    if started is None or not started.is_alive:
        return ComponentStatus(name=name, state=STOPPED, pid=None)
    return ComponentStatus(name=name, state=RUNNING, pid=started.process.pid)
