"""What the tests of everything else rely on: controllers and scheduler do their work."""

import time
from typing import Any

import pytest

from shipkeeper.sandbox import Sandbox
from shipkeeper.sandbox.assets import NEWEST, OLDEST

from .client import Kubectl, wait_until

pytestmark = pytest.mark.usefixtures("own_state")

POD = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "none"}]},
}
READY = {"type": "Ready", "status": "True", "reason": "Posted"}


def node(name: str) -> dict[str, Any]:
    room = {"cpu": "8", "memory": "8Gi", "pods": "110"}
    status = {"allocatable": room, "capacity": room, "conditions": [READY]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


def register(kubectl: Kubectl, sandbox: Sandbox, name: str) -> None:
    kubectl.apply(sandbox, node(name))
    kubectl.apply(sandbox, node(name), subresource="status")


def test_pods_are_made_scheduled_and_counted_by_their_budget(
    control_plane: Sandbox, kubectl: Kubectl
) -> None:
    register(kubectl, control_plane, "worker")
    policy = "policy/v1" if control_plane.version == NEWEST else "policy/v1beta1"
    selector = {"matchLabels": {"app": "web"}}
    kubectl.apply(
        control_plane,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 3, "selector": selector, "template": POD},
        },
        {
            "apiVersion": policy,
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": 2, "selector": selector},
        },
    )
    expected = ("get", "pdb", "web", "-o", "jsonpath={.status.expectedPods}")
    placed = ("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}")
    wait_until(lambda: kubectl.answer(control_plane, *expected) == "3")
    wait_until(lambda: kubectl.answer(control_plane, *placed) == "worker worker worker")


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_short_grace_finds_a_silent_node_soon(version: str, kubectl: Kubectl) -> None:
    sandbox = Sandbox.up("impatient", version, print, node_monitor_grace_seconds=4)
    try:
        register(kubectl, sandbox, "silent")
        ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        began = time.monotonic()
        wait_until(
            lambda: kubectl.answer(sandbox, "get", "node", "silent", "-o", ready) == "Unknown"
        )
        # By itself it is found out after 40 s at the earliest.
        assert time.monotonic() - began < 40
    finally:
        sandbox.down()
