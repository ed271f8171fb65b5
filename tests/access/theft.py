"""16: pods driven to a node where one has a foothold, and traffic drawn away, on a real server."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from tests.access.robber import MERGE, Robber, deployment, minted_for, pod, soon, takes_prize
from tests.access.ways import NAMESPACE
from tests.access.world import connected

_HERE = f"/api/v1/namespaces/{NAMESPACE}"

_ROOM = {"cpu": "8", "memory": "8Gi", "pods": "10"}
_READY = {"type": "Ready", "status": "True", "reason": "Posted"}
# No kubelet renews them, so that their nodes soon count as lost.
_PATIENT = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists"}
    for state in ("not-ready", "unreachable")
]


async def cordon_and_evict(robber: Robber) -> None:
    async def driven(node: str, name: str) -> None:
        await robber.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}})
        metadata = {"name": name, "namespace": NAMESPACE}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        await robber.send("POST", f"{_HERE}/pods/{name}/eviction", eviction)

    await _steal(robber, driven)


async def shrink_and_delete(robber: Robber) -> None:
    async def driven(node: str, name: str) -> None:
        await robber.patch(f"/api/v1/nodes/{node}/status", {"status": {"allocatable": _NONE}})
        await robber.send("DELETE", f"{_HERE}/pods/{name}")

    await _steal(robber, driven)


_NONE = {**_ROOM, "pods": "0"}


async def _steal(robber: Robber, drive: Callable[[str, str], Awaitable[None]]) -> None:
    """A pod's token is its node's to make, and the pod comes to the thief's node."""
    async with _street(robber) as (theirs, ours):
        first = await _running(robber, theirs)
        kubelet = robber.sandbox.issue_kubeconfig(f"system:node:{ours}", ("system:nodes",))
        async with connected(kubelet) as foothold:
            thief = Robber(robber.sandbox, robber.user, foothold, robber.admin, robber.stack)
            try:
                await minted_for(thief, NAMESPACE, "mighty", first)
            except ForbiddenError:
                pass
            else:
                raise AssertionError("the node had the token before")
            await _register(robber, ours)
            await drive(theirs, first["metadata"]["name"])
            second = await _running(robber, ours)
            tokens: list[str] = []

            async def taken() -> None:
                tokens.append(await minted_for(thief, NAMESPACE, "mighty", second))

            await soon(taken)
            await takes_prize(await robber.with_credentials(token=tokens[0]))


@asynccontextmanager
async def _street(robber: Robber) -> AsyncGenerator[tuple[str, str]]:
    """A mighty Deployment on one node; and the name of another one, still to come."""
    theirs, ours = f"{robber.user}-theirs", f"{robber.user}-ours"
    body = deployment("loot", "mighty")
    body["spec"]["replicas"] = 1
    body["spec"]["template"]["spec"]["tolerations"] = _PATIENT
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    await _register(robber, theirs)
    await robber.admin.send("POST", path, body=body)
    try:
        yield theirs, ours
    finally:
        await robber.admin.send("DELETE", f"{path}/loot")
        for node in (theirs, ours):
            with suppress(NotFoundError):
                await robber.admin.send("DELETE", f"/api/v1/nodes/{node}")


async def _register(robber: Robber, node: str) -> None:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}
    status = {"allocatable": _ROOM, "capacity": _ROOM, "conditions": [_READY]}
    await robber.admin.send("POST", "/api/v1/nodes", body=body)
    path = f"/api/v1/nodes/{node}/status"
    await robber.admin.send("PATCH", path, body={"status": status}, content_type=MERGE)


async def _running(robber: Robber, node: str) -> dict[str, Any]:
    """The Deployment's pod, once the scheduler has given it to this node."""
    found: list[dict[str, Any]] = []

    async def bound() -> None:
        query = {"labelSelector": "app=loot", "fieldSelector": f"spec.nodeName={node}"}
        answer = await robber.admin.send("GET", f"{_HERE}/pods", query=query)
        found[:] = msgspec.json.decode(answer)["items"]
        if not found:
            raise LookupError("the scheduler has not come to it yet")

    await soon(bound)
    return found[0]


async def draw_by_pod(robber: Robber) -> None:
    """The address of a Service's pod becomes the thief's: requests are sent there."""
    shop = {**pod("shop", nodeName="ways-node"), "metadata": {"name": "shop", "labels": _SHOP}}
    await robber.admin.send("POST", f"{_HERE}/pods", body=shop)
    try:
        async with _service(robber, "ClusterIP"):
            where = {"podIP": _THIEF, "podIPs": [{"ip": _THIEF}]}
            status = {"phase": "Running", "conditions": [_READY], **where}
            await robber.patch(f"{_HERE}/pods/shop/status", {"status": status})

            async def drawn() -> None:
                answer = await robber.admin.send("GET", f"{_HERE}/endpoints/shop")
                subsets = msgspec.json.decode(answer).get("subsets", ())
                if not any(each["ip"] == _THIEF for one in subsets for each in one["addresses"]):
                    raise LookupError("the controller has not come to it yet")

            await soon(drawn)
    finally:
        query = {"gracePeriodSeconds": "0"}
        await robber.admin.send("DELETE", f"{_HERE}/pods/shop", query=query)


async def draw_by_service(robber: Robber) -> None:
    """Every kube-proxy leads what is sent to such an address to the Service's pods."""
    async with _service(robber, "LoadBalancer"):
        ingress = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
        await robber.patch(f"{_HERE}/services/shop/status", {"status": ingress})
        answer = await robber.admin.send("GET", f"{_HERE}/services/shop")
        (found,) = msgspec.json.decode(answer)["status"]["loadBalancer"]["ingress"]
        assert found["ip"] == "203.0.113.7"


_SHOP = {"app": "shop"}
_THIEF = "10.66.6.6"


@asynccontextmanager
async def _service(robber: Robber, type_: str) -> AsyncGenerator[None]:
    spec = {"type": type_, "selector": _SHOP, "ports": [{"port": 80}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": spec}
    await robber.admin.send("POST", f"{_HERE}/services", body=body)
    try:
        yield
    finally:
        await robber.admin.send("DELETE", f"{_HERE}/services/shop")
