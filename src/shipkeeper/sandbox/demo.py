"""The demo's fleet: twelve hollow nodes in three zones, and workloads as people have them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.rollout import apply, wait_ready
from shipkeeper.sandbox.sandbox import Sandbox

NAME = "demo"
NAMESPACE = "harbour"
NODES = 12
ZONES = 3
READY_SECONDS = 0.5
DOWN_SECONDS = 0.5
# The reboot, and the command line that asks for it.
UPDATE_SECONDS = 1.5
OLD_KERNEL = "6.12.8"
NEW_KERNEL = "6.12.9"

_READY_WITHIN = timedelta(seconds=90)


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo came to; times in seconds, violations counted by an independent observer."""

    nodes: int
    done: int
    refused: int
    pods_moved: int
    moves_per_pod: float
    violations: int
    seconds: float
    lower_bound_seconds: float
    rehearsed_seconds: float


def fresh_sandbox(version: str, say: Callable[[str], None]) -> Sandbox:
    """A new control plane with twelve nodes; the one of an earlier demo is taken down. Blocking."""
    if NAME in Sandbox.names():
        say(f"taking the sandbox {NAME} of an earlier demo down")
        Sandbox.load(NAME).down()
    sandbox = Sandbox.up(NAME, version, say)
    say(f"adding {NODES} hollow nodes in {ZONES} zones")
    sandbox.hollow.add_nodes(
        NodeGroup(count=NODES, zones=ZONES, ready_after=READY_SECONDS, kernel_version=OLD_KERNEL)
    )
    return sandbox


async def load_workloads(connection: Connection) -> None:
    """Apply the demo's workloads and wait until all of them are Ready."""
    reader = Reader(connection)
    await apply(reader, Writer(connection), manifests())
    await wait_ready(reader, NAMESPACE, timeout=_READY_WITHIN)


def manifests() -> list[dict[str, Any]]:
    """Everything that runs in the demo; the last node holds the two cases that are left alone."""
    spread = workloads.PodShape(spread_over=workloads.HOSTNAME_LABEL)
    scratch = workloads.PodShape(spread_over=workloads.HOSTNAME_LABEL, empty_dir=True)
    apart = workloads.PodShape(apart=True)
    last = workloads.PodShape(node_selector={workloads.HOSTNAME_LABEL: f"node-{NODES}"})
    return [
        workloads.namespace(NAMESPACE),
        workloads.deployment("web", NAMESPACE, replicas=12, shape=spread),
        _budget("web", max_unavailable=2),
        workloads.deployment("api", NAMESPACE, replicas=6, shape=spread),
        _budget("api", min_available=5),
        workloads.deployment("cache", NAMESPACE, replicas=4, shape=scratch),
        _budget("cache", max_unavailable="25%"),
        workloads.stateful_set("db", NAMESPACE, replicas=3, shape=apart),
        _budget("db", max_unavailable=1),
        workloads.daemon_set("agent", NAMESPACE),
        # Nothing would bring this pod back.
        workloads.bare_pod("one-off", NAMESPACE, shape=last),
        # A mistake that the API server accepts and then never evicts: two budgets, the same pods.
        workloads.deployment("twice", NAMESPACE, shape=last),
        _budget("twice", max_unavailable=1),
        workloads.budget(
            "twice-again", NAMESPACE, {workloads.APP_LABEL: "twice"}, max_unavailable=1
        ),
    ]


def _budget(app: str, **limits: int | str) -> dict[str, Any]:
    return workloads.budget(app, NAMESPACE, {workloads.APP_LABEL: app}, **limits)


def maintenance() -> MaintenanceOptions:
    """The demo's maintenance: each node reboots into a newer kernel."""
    return MaintenanceOptions(
        drain=DrainOptions(ignore_daemonsets=True, delete_emptydir_data=True),
        command=f'shipkeeper sandbox host reboot "$NODE_NAME" --sandbox {NAME} '
        f"--kernel-version {NEW_KERNEL} --down-for {DOWN_SECONDS}s",
        expect_reboot=True,
        ready_timeout=120.0,
    )
