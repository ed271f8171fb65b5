"""A real control plane on this machine, by name."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shipkeeper.errors import UsageError
from shipkeeper.sandbox import names
from shipkeeper.sandbox.assets import find_assets, resolve_version
from shipkeeper.sandbox.bring_up import bring_up, start_component, stop_components
from shipkeeper.sandbox.health import wait_for_pods, wait_healthy
from shipkeeper.sandbox.hollow import HollowFleet
from shipkeeper.sandbox.kubeconfig import issue_kubeconfig
from shipkeeper.sandbox.layout import Layout, sandbox_names
from shipkeeper.sandbox.lock import alone
from shipkeeper.sandbox.ports import choose_ports
from shipkeeper.sandbox.record import SandboxRecord, StartedComponent, read_record, write_record
from shipkeeper.sandbox.status import RUNNING, SandboxStatus, read_status


class Sandbox:
    """A sandbox that exists, running or not; get one by `up` or `load`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.name = layout.name
        self.directory = layout.directory
        self.kubeconfig = layout.kubeconfig(names.ADMIN)
        self.audit_log = layout.audit_log
        self.ca = layout.certificate(names.CLUSTER_CA)
        self.hollow = HollowFleet(layout.hollow_socket)

    @classmethod
    def up(
        cls,
        name: str,
        version: str,
        say: Callable[[str], None],
        *,
        node_monitor_grace_seconds: int | None = None,
    ) -> "Sandbox":
        """Make a sandbox run and return it; `say` hears of every step. Blocking.

        One that runs is left as it is, one that has ended is started again on its data. UsageError
        when it exists with another version or other settings; SandboxError when it does not start.
        """
        layout = Layout.of(name)
        wanted = resolve_version(version)
        with alone(layout):
            if layout.directory.exists():
                _require_same(read_record(layout), layout, wanted, node_monitor_grace_seconds)
                _run_again(layout, wanted, say)
            else:
                assets = find_assets(wanted, say)
                _prepare(layout, wanted, node_monitor_grace_seconds)
                bring_up(layout, assets, say)
        return cls(layout)

    @classmethod
    def load(cls, name: str) -> "Sandbox":
        """The sandbox of that name; SandboxError when there is none."""
        layout = Layout.of(name)
        read_record(layout)
        return cls(layout)

    @staticmethod
    def names() -> list[str]:
        """Every sandbox of this user, running or not."""
        return sandbox_names()

    @property
    def version(self) -> str:
        """The Kubernetes version, like v1.37.2."""
        return read_record(self.layout).version

    @property
    def server(self) -> str:
        """The API server's URL."""
        return read_record(self.layout).server

    def status(self) -> SandboxStatus:
        """Which of its processes run."""
        return read_status(self.layout, read_record(self.layout))

    def down(self) -> None:
        """End every process of the sandbox, then remove its directory."""
        with alone(self.layout):
            stop_components(self.layout)
            _remove(self.layout)

    def restart(self, component: str) -> None:
        """Stop a component and start it again on the same port and data."""
        self.stop_component(component)
        self.start_component(component)

    def stop_component(self, component: str) -> None:
        """End one component; UsageError when there is none of that name."""
        self._started(component)
        with alone(self.layout):
            stop_components(self.layout, component)

    def start_component(self, component: str) -> None:
        """Start one component as it was started before, and wait until it is healthy.

        UsageError when there is none of that name, SandboxError when it does not start.
        """
        with alone(self.layout):
            started = self._started(component)
            if not started.is_alive:
                start_component(self.layout, component, started.command)
            wait_healthy(self.layout, read_record(self.layout), component)

    def issue_kubeconfig(
        self, user: str, groups: tuple[str, ...] = (), *, not_after: datetime | None = None
    ) -> Path:
        """Write a kubeconfig for a user of these groups; `not_after` (aware) may be in the past."""
        return issue_kubeconfig(self.layout, self.server, user, groups, not_after)

    def _started(self, component: str) -> StartedComponent:
        components = read_record(self.layout).components
        if component not in components:
            raise UsageError(
                f"sandbox {self.name} has no component {component!r}",
                reason="NoComponent",
                hint=f"its components are: {', '.join(components)}",
            )
        return components[component]


def _run_again(layout: Layout, version: str, say: Callable[[str], None]) -> None:
    """Leave a running sandbox as it is, and start one that has ended on its data."""
    record = read_record(layout)
    if read_status(layout, record).state == RUNNING:
        wait_for_pods(layout, record)
        say(f"sandbox {layout.name} is running already at {record.server}")
        return
    say(f"sandbox {layout.name} is not running: starting it again on its data")
    stop_components(layout)
    bring_up(layout, find_assets(version, say), say)


def _require_same(
    record: SandboxRecord, layout: Layout, version: str, grace_seconds: int | None
) -> None:
    hint = f"take it down first: shipkeeper sandbox down {layout.name}"
    if record.version != version:
        raise UsageError(
            f"sandbox {layout.name} is of Kubernetes {record.version}, not {version}",
            reason="OtherVersion",
            hint=f"{hint}, or choose another name",
        )
    if grace_seconds not in (None, record.node_monitor_grace_seconds):
        raise UsageError(
            f"sandbox {layout.name} was made with another node monitor grace period",
            reason="OtherSettings",
            hint=f"{hint}, or choose another name",
        )


def _prepare(layout: Layout, version: str, grace_seconds: int | None) -> None:
    """Make the directory of a new sandbox; it appears complete or not at all."""
    # Here and not above: cryptography is slow to import, and only a new sandbox needs it.
    from shipkeeper.sandbox.pki import create_pki

    shutil.rmtree(layout.unfinished, ignore_errors=True)
    layout.unfinished.mkdir(mode=0o700)
    unfinished = Layout(layout.unfinished)
    create_pki(unfinished)
    record = SandboxRecord(
        version=version,
        created=datetime.now(UTC),
        node_monitor_grace_seconds=grace_seconds,
        ports=choose_ports(),
        is_unborn=True,
    )
    write_record(unfinished, record)
    layout.unfinished.rename(layout.directory)


def _remove(layout: Layout) -> None:
    """Remove the directory; from its first moment on, the sandbox is unknown."""
    shutil.rmtree(layout.unfinished, ignore_errors=True)
    layout.directory.rename(layout.unfinished)
    shutil.rmtree(layout.unfinished)
