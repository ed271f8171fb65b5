"""A real kubeadm cluster of several hosts on this machine, by name."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from shipkeeper.errors import UsageError
from shipkeeper.sandbox import names
from shipkeeper.sandbox.assets import resolve_version
from shipkeeper.sandbox.assets.engines import Say
from shipkeeper.sandbox.lab.base import USER
from shipkeeper.sandbox.lab.bring_up import (
    boot,
    bring_up,
    import_images,
    server,
    wait_until_ready,
)
from shipkeeper.sandbox.lab.host import Host
from shipkeeper.sandbox.lab.layout import LabLayout, lab_names
from shipkeeper.sandbox.lab.limits import raise_limit
from shipkeeper.sandbox.lab.network import Switch
from shipkeeper.sandbox.lab.own_image import SHIPKEEPER, own_image
from shipkeeper.sandbox.lab.record import WORKER, HostRecord, plan_hosts, read_lab_record
from shipkeeper.sandbox.lab.requirements import require_lab_machine
from shipkeeper.sandbox.lab.take_down import end, take_down
from shipkeeper.sandbox.lock import alone
from shipkeeper.sandbox.status import (
    DEGRADED,
    RUNNING,
    STOPPED,
    ComponentStatus,
    SandboxStatus,
)


class Lab:
    """A lab that exists, running or not; get one by `up` or `load`."""

    user = USER
    """An ordinary user of every host, with sudo that asks nothing; `ssh_key` opens root too."""

    def __init__(self, layout: LabLayout) -> None:
        self.layout = layout
        self.name = layout.name
        self.kubeconfig = layout.kubeconfig(names.ADMIN)
        self.ssh_key = layout.ssh_key
        self.known_hosts = layout.known_hosts
        self.server = server()

    @classmethod
    def up(
        cls, name: str, version: str, say: Say, *, control_planes: int = 1, workers: int = 3
    ) -> "Lab":
        """Make a lab run and return it; `say` hears of every step. Blocking.

        One that exists gets power where it has none; one that was left half made is made anew.
        LabUnsupportedError, UsageError when it exists with another version or other hosts.
        """
        require_lab_machine()
        layout, wanted = LabLayout.of(name), resolve_version(version)
        hosts = plan_hosts(control_planes, workers)
        with alone(layout):
            if layout.record.exists() and read_lab_record(layout).finished:
                _require_same(layout, wanted, hosts)
                lab = cls(layout)
                lab._start(say)
                return lab
            _require_free(layout)
            take_down(layout)
            try:
                bring_up(layout, wanted, hosts, say)
            except BaseException:
                end(layout)
                raise
        return cls(layout)

    @classmethod
    def load(cls, name: str) -> "Lab":
        """The lab of that name; SandboxError when there is none."""
        layout = LabLayout.of(name)
        read_lab_record(layout)
        return cls(layout)

    @classmethod
    def remove(cls, name: str) -> None:
        """Take down a lab of that name, also one whose record cannot be read."""
        cls(LabLayout.of(name)).down()

    @staticmethod
    def names() -> list[str]:
        """Every lab of this user, running or not."""
        return lab_names()

    @property
    def version(self) -> str:
        """The Kubernetes version it was made with, like v1.20.2."""
        return read_lab_record(self.layout).version

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Its hosts, the control plane first."""
        record = read_lab_record(self.layout)
        return tuple(Host(self.layout, record, each) for each in record.hosts)

    def host(self, name: str) -> Host:
        """One host; UsageError when there is none of that name."""
        known = {each.name: each for each in self.hosts}
        if name not in known:
            raise UsageError(
                f"lab {self.name} has no host {name!r}",
                reason="NoHost",
                hint=f"its hosts are: {', '.join(known)}",
            )
        return known[name]

    def run(self, host: str, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host, as root; SandboxError if it fails, unless told otherwise."""
        return self.host(host).run(*argv, check=check)

    def inside(self, *argv: str) -> tuple[str, ...]:
        """The command that runs `argv` on this machine, but in the lab's network alone.

        There the hosts and the API server answer to their names, and nothing else does.
        """
        return Switch(self.layout.tag).inside(argv, self.layout.hosts_file)

    def provide_shipkeeper(self, say: Say) -> str:
        """Give the workers an image of the shipkeeper that runs here; returns what it is called."""
        workers = [each for each in self.hosts if each.role == WORKER]
        with own_image(say) as archive, ThreadPoolExecutor() as pool:
            list(pool.map(partial(import_images, (archive,)), workers))
        return SHIPKEEPER

    def reboot(self, host: str) -> str:
        """Let a host shut down in good order and boot; returns the new boot ID when it is up."""
        return self.host(host).reboot()

    def cut_power(self, host: str) -> None:
        """End everything on a host at once, without warning."""
        self.host(host).cut_power()

    def power_on(self, host: str) -> None:
        """Give a host its power back and wait until it is up (its node is Ready later)."""
        self._plug(self.host(host))

    def _start(self, say: Say) -> None:
        off = [each for each in self.hosts if not each.is_on]
        say(f"lab {self.name} exists already, {len(off)} of its hosts without power")
        self._plug(*off)
        wait_until_ready(self.hosts)

    def _plug(self, *hosts: Host) -> None:
        Switch(self.layout.tag).create(read_lab_record(self.layout).hosts)
        raise_limit()
        boot(hosts)

    def status(self) -> SandboxStatus:
        """Which of its hosts have power; a half-made lab is Degraded."""
        record = read_lab_record(self.layout)
        components = tuple(_component(each) for each in self.hosts)
        states = {each.state for each in components}
        return SandboxStatus(
            name=self.name,
            version=record.version,
            state=states.pop() if len(states) == 1 and record.finished else DEGRADED,
            server=self.server,
            kubeconfig=self.kubeconfig,
            created=record.created,
            components=components,
        )

    def down(self) -> None:
        """End every host and remove everything of the lab."""
        with alone(self.layout):
            take_down(self.layout)


def _component(host: Host) -> ComponentStatus:
    supervisor = host.power.supervisor
    if supervisor is None or not supervisor.is_alive:
        return ComponentStatus(name=host.name, state=STOPPED, pid=None)
    return ComponentStatus(name=host.name, state=RUNNING, pid=supervisor.pid)


def _require_same(layout: LabLayout, version: str, hosts: tuple[HostRecord, ...]) -> None:
    record = read_lab_record(layout)
    if (record.version, record.hosts) != (version, hosts):
        have = f"{record.version} on {len(record.hosts)} hosts"
        raise UsageError(
            f"lab {layout.name} is of Kubernetes {have}, which is not what was asked for",
            reason="OtherSettings",
            hint=f"take it down first: shipkeeper sandbox down {layout.name}",
        )


def _require_free(layout: LabLayout) -> None:
    if (layout.directory / "sandbox.json").exists():
        raise UsageError(
            f"there is a sandbox {layout.name} already, with hollow nodes",
            reason="NameTaken",
            hint="choose another name",
        )
