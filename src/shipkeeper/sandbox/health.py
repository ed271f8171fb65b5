"""Waiting until the components of a sandbox work, or telling why they do not."""

import time
from collections.abc import Callable

from shipkeeper.sandbox import names
from shipkeeper.sandbox.endpoint import as_admin, as_etcd_client
from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.hollow import HollowFleet
from shipkeeper.sandbox.layout import Layout
from shipkeeper.sandbox.record import Ports, SandboxRecord

# Seconds; an idle machine needs a few percent of it.
_LIMIT = 120
_POLL = 0.05
_TAIL_LINES = 12
_PORT_TAKEN = "address already in use"

# A pod that passes every admission as soon as its namespace has a service account to use.
_TRIAL_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "trial"},
    "spec": {"containers": [{"name": "trial", "image": "trial"}]},
}


class PortTakenError(SandboxError):
    """Another process took a port between its choice and its use."""


def wait_healthy(layout: Layout, record: SandboxRecord, name: str) -> None:
    """Wait until one started component calls itself healthy.

    SandboxError, with the last lines of its log, when it ends or does not get there in time.
    """
    is_healthy = _check(layout, record.ports, name)
    _wait(layout, record, (name,), is_healthy, f"{name} is not healthy")


def wait_for_pods(layout: Layout, record: SandboxRecord) -> None:
    """Wait until a pod could be created in the namespace `default` (tried as a dry run)."""
    api = as_admin(layout, record.ports.api_server)
    path = "/api/v1/namespaces/default/pods?dryRun=All"
    _wait(
        layout,
        record,
        tuple(record.components),
        lambda: api.succeeds("POST", path, _TRIAL_POD),
        "no pod can be created in the namespace default",
    )


def _check(layout: Layout, ports: Ports, name: str) -> Callable[[], bool]:
    match name:
        case names.ETCD:
            endpoint, path = as_etcd_client(layout, ports.etcd), "/health"
        case names.API_SERVER:
            endpoint, path = as_admin(layout, ports.api_server), "/readyz"
        case names.CONTROLLER_MANAGER:
            endpoint, path = as_admin(layout, ports.controller_manager), "/healthz"
        case names.SCHEDULER:
            endpoint, path = as_admin(layout, ports.scheduler), "/healthz"
        case _:
            return HollowFleet(layout.hollow_socket).is_up
    return lambda: endpoint.succeeds("GET", path)


def _wait(
    layout: Layout,
    record: SandboxRecord,
    watched: tuple[str, ...],
    is_done: Callable[[], bool],
    doubt: str,
) -> None:
    deadline = time.monotonic() + _LIMIT
    while not is_done():
        for name in watched:
            if not record.components[name].is_alive:
                raise _ended(layout, name)
        if time.monotonic() > deadline:
            raise SandboxError(
                f"{doubt} after {_LIMIT} s\n{_last_words(layout, watched[-1])}",
                reason="NotHealthy",
                hint=f"read the logs in {layout.log(watched[-1]).parent}",
            )
        time.sleep(_POLL)


def _ended(layout: Layout, name: str) -> SandboxError:
    words = _last_words(layout, name)
    kind = PortTakenError if _PORT_TAKEN in words else SandboxError
    return kind(
        f"{name} of sandbox {layout.name} has ended, its last words:\n{words}",
        reason="ComponentEnded",
        hint=f"read {layout.log(name)}",
    )


def _last_words(layout: Layout, name: str) -> str:
    lines = layout.log(name).read_text(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
