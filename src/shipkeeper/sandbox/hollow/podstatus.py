"""The status patches that a kubelet sends for a pod."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from shipkeeper.sandbox.hollow.node import timestamp
from shipkeeper.sandbox.hollow.pod import CONTAINER_ID_SCHEME, BoundPod, ContainerStatus


def start_patch(
    pod: BoundPod, boot_id: str, *, address: str, host: str, ready: bool
) -> dict[str, Any]:
    """Its containers run for the first time."""
    now = _now()
    containers = [
        _run(ContainerStatus(name=each.name, image=each.image, ready=ready), pod, boot_id, now)
        for each in pod.spec.containers
    ]
    initialized = {"type": "Initialized", "status": "True", "lastTransitionTime": now}
    status = {
        "phase": "Running",
        "hostIP": host,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [initialized, *_ready_conditions(now, ready=ready)],
    }
    return _patch(pod, status, containers)


def ready_patch(pod: BoundPod) -> dict[str, Any]:
    """Its containers, which run already, are ready."""
    containers = [
        msgspec.structs.replace(each, ready=True) for each in pod.status.container_statuses
    ]
    return _patch(pod, {"conditions": _ready_conditions(_now(), ready=True)}, containers)


def restart_patch(pod: BoundPod, boot_id: str) -> dict[str, Any]:
    """Its containers ended with the node's last boot and run again, unless they must not."""
    now = _now()
    conditions = {"conditions": _ready_conditions(now, ready=False)}
    ended = [
        msgspec.structs.replace(each, ready=False, started=False, state=_exited(now))
        for each in pod.status.container_statuses
    ]
    if pod.spec.restart_policy == "Never":
        return _patch(pod, {"phase": "Failed", **conditions}, ended)
    again = [_run(_next_try(each), pod, boot_id, now) for each in ended]
    return _patch(pod, conditions, again)


def _run(status: ContainerStatus, pod: BoundPod, boot_id: str, now: str) -> ContainerStatus:
    identity = f"{boot_id}/{pod.uid}/{status.name}/{status.restart_count}"
    return msgspec.structs.replace(
        status,
        image_id=status.image,
        container_id=f"{CONTAINER_ID_SCHEME}{identity}",
        started=True,
        state={"running": {"startedAt": now}},
    )


def _next_try(ended: ContainerStatus) -> ContainerStatus:
    return msgspec.structs.replace(
        ended, restart_count=ended.restart_count + 1, last_state=ended.state
    )


def _exited(now: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": 255, "reason": "Unknown", "finishedAt": now}}


def _ready_conditions(now: str, *, ready: bool) -> list[dict[str, Any]]:
    said = {
        "status": "True" if ready else "False",
        # A strategic patch keeps what it does not name.
        "reason": None if ready else "ContainersNotReady",
        "lastTransitionTime": now,
    }
    return [{"type": type_, **said} for type_ in ("ContainersReady", "Ready")]


def _patch(
    pod: BoundPod, status: dict[str, Any], containers: list[ContainerStatus]
) -> dict[str, Any]:
    # The uid keeps a late patch off a younger pod of the same name.
    written = {**status, "containerStatuses": msgspec.to_builtins(containers)}
    return {"metadata": {"uid": pod.uid}, "status": written}


def _now() -> str:
    return timestamp(datetime.now(UTC))
