"""Starting and stopping the components of a sandbox."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta

import msgspec

from shipkeeper.sandbox import control_plane, names, process
from shipkeeper.sandbox.assets import Assets
from shipkeeper.sandbox.control_plane import AUDIT_POLICY, ControlPlane
from shipkeeper.sandbox.endpoint import as_admin
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.grants import grant_hollow_nodes
from shipkeeper.sandbox.health import PortTakenError, wait_for_pods, wait_healthy
from shipkeeper.sandbox.kubeconfig import write_kubeconfigs
from shipkeeper.sandbox.layout import Layout
from shipkeeper.sandbox.ports import choose_ports
from shipkeeper.sandbox.process import ProcessIdentity
from shipkeeper.sandbox.record import StartedComponent, change_record, read_record

# An API server takes a minute to see off the watches of clients that stay.
_STOP_GRACE = timedelta(seconds=3)
_ATTEMPTS = 3


def bring_up(layout: Layout, assets: Assets, say: Callable[[str], None]) -> None:
    """Start every component of a prepared or stopped sandbox and wait until pods can be created.

    When that fails or is interrupted nothing is left running, and logs and data stay. SandboxError
    tells which component failed, with its last words.
    """
    began = time.monotonic()
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            _start_everything(layout, assets, say)
        except PortTakenError:
            stop_components(layout)
            if not attempts_left:
                raise
            say("another process took one of the ports meanwhile: trying others")
            change_record(layout, ports=choose_ports())
        except BaseException:
            stop_components(layout)
            raise
        else:
            say(f"sandbox {layout.name} is up after {time.monotonic() - began:.1f} s")
            return


def start_component(layout: Layout, name: str, command: tuple[str, ...]) -> None:
    """Start one component, recorded before it runs."""

    def remember(identity: ProcessIdentity) -> None:
        started = StartedComponent(command=command, process=identity)
        components = read_record(layout).components | {name: started}
        change_record(layout, components=components)

    process.start(command, layout.log(name), _environment(), remember)


def stop_components(layout: Layout, *chosen: str) -> None:
    """End the components of these names, or all, as far as they still run."""
    components = read_record(layout).components
    # Clients before their servers: an API server waits for open watches, and for a lost etcd.
    for name in reversed(chosen or tuple(components)):
        process.stop(components[name].process, _STOP_GRACE)


def _start_everything(layout: Layout, assets: Assets, say: Callable[[str], None]) -> None:
    record = read_record(layout)
    plane = ControlPlane(
        layout=layout,
        ports=record.ports,
        assets=assets,
        node_monitor_grace_seconds=record.node_monitor_grace_seconds,
    )
    write_private(layout.audit_policy, msgspec.json.encode(AUDIT_POLICY))
    configuration = control_plane.scheduler_configuration(plane)
    write_private(layout.scheduler_configuration, msgspec.json.encode(configuration))
    # Older API servers let everybody read a log that they create.
    layout.audit_log.touch(mode=0o600)
    write_kubeconfigs(layout, record.server)
    _clear_unborn(layout)
    _start(layout, (control_plane.etcd(plane), control_plane.api_server(plane)), say)
    grant_hollow_nodes(as_admin(layout, record.ports.api_server))
    clerks = (control_plane.controller_manager(plane), control_plane.scheduler(plane))
    _start(layout, (*clerks, control_plane.hollow_nodes(plane)), say)
    wait_for_pods(layout, read_record(layout))


def _start(
    layout: Layout, components: tuple[control_plane.Component, ...], say: Callable[[str], None]
) -> None:
    say(f"starting {', '.join(each.name for each in components)}")
    for component in components:
        start_component(layout, component.name, component.command)
    record = read_record(layout)
    for component in components:
        wait_healthy(layout, record, component.name)
        if component.name == names.ETCD and record.is_unborn:
            change_record(layout, is_unborn=False)


def _clear_unborn(layout: Layout) -> None:
    """Take away what an etcd left that never got healthy.

    Ended between making its log and writing itself into it as the only member, it starts again as
    a cluster without members, in which nobody can ever be elected.
    """
    if read_record(layout).is_unborn and layout.etcd_data.exists():
        shutil.rmtree(layout.etcd_data)


def _environment() -> dict[str, str]:
    # Etcd refuses to start when a variable contradicts a flag.
    ours = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
    # A few hundred megabytes more, and a fifth less work: nobody collects garbage for long here.
    return {"GOGC": "300", **ours}
