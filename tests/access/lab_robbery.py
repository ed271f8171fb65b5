"""Ways that end inside a pod or on its host, walked where kubelets run the pods.

Whoever walks holds that way's rights alone, and has the prize at the end: by a token that a pod
sent them, or by the keys of a control-plane host.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
import yaml
from aiohttp import WSServerHandshakeError

from shipkeeper.kube.errors import ForbiddenError
from tests.access.lab_town import BASELINE, CONTROL_PLANE, TOKEN, WORKER, LabTown
from tests.access.robber import Robber, deployment, pod, soon, takes_prize
from tests.access.robbery import enforced
from tests.access.ways import ALSO, LOOK_ALIKES, NAMESPACE, STRICT, WAYS, bound
from tests.access.websocket import printed
from tests.access.world import connected

_HERE = f"/api/v1/namespaces/{NAMESPACE}"
_APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_STRATEGIC = "application/strategic-merge-patch+json"
_KEYS = "/host/admin.conf"


async def create_pods(robber: Robber, town: LabTown) -> None:
    container = town.sending(robber.user, TOKEN)
    body = pod(robber.user, container=container, serviceAccountName="mighty", **_on(WORKER))
    await robber.send("POST", f"{_HERE}/pods", body)
    await _by_token(robber, await town.loot.of(robber.user))


async def create_deployments(robber: Robber, town: LabTown) -> None:
    body = deployment(robber.user, "mighty")
    body["spec"]["replicas"] = 1
    body["spec"]["template"]["spec"] |= _sender(robber, town)
    await robber.send("POST", _APPS, body)
    await _by_token(robber, await town.loot.of(robber.user))


async def patch_deployments(robber: Robber, town: LabTown) -> None:
    spec = {"serviceAccountName": "mighty", **_sender(robber, town)}
    await robber.patch(f"{_APPS}/app", {"spec": {"replicas": 1, "template": {"spec": spec}}})
    await _by_token(robber, await town.loot.of(robber.user))


async def patch_pods(robber: Robber, town: LabTown) -> None:
    change = {"spec": {"containers": [{"name": "main", "image": town.mine}]}}
    await robber.patch(f"{_HERE}/pods/target", change, _STRATEGIC)
    await _by_token(robber, await town.loot.of("mine"))


async def node_proxy(robber: Robber, town: LabTown) -> None:
    """The kubelet tells of its pods, and runs a command in one: by GET alone, at its own port."""
    while await _phase_of_target(robber) != "Running":
        await asyncio.sleep(0.2)
    own = yaml.safe_load(robber.kubeconfig.read_text())["users"]
    kubelet = {**yaml.safe_load(town.kubelet.read_text()), "users": own}
    path = f"/exec/{NAMESPACE}/target/main?command=cat&command={TOKEN}&output=1"
    await _by_token(robber, await printed(yaml.safe_dump(kubelet), path))


async def _phase_of_target(robber: Robber) -> str:
    found = (await robber.send("GET", f"/api/v1/nodes/{WORKER}/proxy/pods"))["items"]
    return next(
        (each["status"]["phase"] for each in found if each["metadata"]["name"] == "target"), ""
    )


async def volume(robber: Robber, town: LabTown) -> None:
    """A host's folder by a claim, into a namespace where it is not let in by itself."""
    size = {"storage": "1Gi"}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    disk: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": robber.user},
        "spec": {**spec, "capacity": size, "hostPath": {"path": "/etc/kubernetes"}},
    }
    claim: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": robber.user},
        "spec": {**spec, "resources": {"requests": size}, "volumeName": robber.user},
    }
    space = f"/api/v1/namespaces/{BASELINE}"
    await robber.send("POST", "/api/v1/persistentvolumes", disk)
    # A claim of a volume that the controller does not know yet waits for 15 s, a pod likewise.
    await soon(lambda: _is(town, "Available", f"/api/v1/persistentvolumes/{robber.user}"))
    await robber.send("POST", f"{space}/persistentvolumeclaims", claim)
    await soon(lambda: _is(town, "Bound", f"{space}/persistentvolumeclaims/{robber.user}"))
    body = _reader(robber, town, {"persistentVolumeClaim": {"claimName": robber.user}})
    await robber.send("POST", f"{space}/pods", body)
    await _by_keys(robber, await town.loot.of(robber.user))


async def _is(town: LabTown, phase: str, path: str) -> None:
    found = msgspec.json.decode(await town.admin.send("GET", path))["status"].get("phase")
    if found != phase:
        raise LookupError(f"{path} is {found}")


async def relabel(robber: Robber, town: LabTown) -> None:
    """A privileged pod in a namespace that lets none in, until its label is another one."""
    space = f"/api/v1/namespaces/{STRICT}"
    body = _reader(robber, town, {"hostPath": {"path": "/etc/kubernetes"}})
    body["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(ForbiddenError, match="PodSecurity"):
        await town.admin.send("POST", f"{space}/pods", body=body)
    await robber.patch(space, enforced("privileged"))
    await soon(lambda: robber.send("POST", f"{space}/pods", body))
    await _by_keys(robber, await town.loot.of(robber.user))


def _on(node: str) -> dict[str, Any]:
    return {"nodeName": node, "terminationGracePeriodSeconds": 1}


def _sender(robber: Robber, town: LabTown) -> dict[str, Any]:
    container = {"name": "main", **town.sending(robber.user, TOKEN)}
    return {"containers": [container], **_on(WORKER)}


def _reader(robber: Robber, town: LabTown, source: dict[str, Any]) -> dict[str, Any]:
    """A pod that sends the administrator's credentials from a control-plane host's folder."""
    mounts = [{"name": "host", "mountPath": "/host"}]
    container = {**town.sending(robber.user, _KEYS), "volumeMounts": mounts}
    everywhere = {"tolerations": [{"operator": "Exists"}], **_on(CONTROL_PLANE)}
    volumes = [{"name": "host", **source}]
    return pod(robber.user, container=container, volumes=volumes, **everywhere)


async def _by_token(robber: Robber, token: str) -> None:
    await takes_prize(await robber.with_credentials(token=token.strip()))


async def _by_keys(robber: Robber, kubeconfig: str) -> None:
    own = yaml.safe_load(kubeconfig)["users"][0]["user"]
    await takes_prize(await robber.with_credentials(**own))


WALKS: dict[str, Callable[[Robber, LabTown], Awaitable[None]]] = {
    "create-pods": create_pods,
    "create-deployments": create_deployments,
    "patch-deployments": patch_deployments,
    # While the pod is as it was.
    "node-proxy": node_proxy,
    "patch-pods": patch_pods,
    "volume": volume,
    "relabel": relabel,
}
# By way, who holds the same but for the right that decides.
SHAMS = {
    "create-pods": "delete-pods",
    "create-deployments": "status-of-deployments",
    "patch-deployments": "scale",
    "node-proxy": "node-proxy-in-namespace",
    "patch-pods": "read-pods",
    "volume": "volumes-alone",
    "relabel": "another-namespace",
}
_BY_NAME = {way.name: way for way in WAYS}


def rights() -> list[dict[str, Any]]:
    """Everything that those who walk, and those who only seem to, are bound to."""
    ways = [each for name in WALKS for each in _BY_NAME[name].objects]
    return [*ways, *(each for name in SHAMS.values() for each in bound(name, *LOOK_ALIKES[name]))]


async def walk(town: LabTown, name: str) -> None:
    """Go a way to its end: what is refused before is given after it, and the audit knew."""
    way = _BY_NAME[name]
    assert town.rules_about(way.user) & ({way.rule} | ALSO.get(name, set()))
    async with AsyncExitStack() as stack:
        robber = await _robber(town, way.user, stack)
        with pytest.raises(ForbiddenError):
            await robber.sees_prize()
        await WALKS[name](robber, town)
        # It is theirs by what they took, and not of their own.
        with pytest.raises(ForbiddenError):
            await robber.sees_prize()


async def walk_in_vain(town: LabTown, name: str) -> None:
    """The same by who lacks the right that decides."""
    user = f"way-{SHAMS[name]}"
    assert not town.rules_about(user)
    async with AsyncExitStack() as stack:
        robber = await _robber(town, user, stack)
        with pytest.raises((ForbiddenError, WSServerHandshakeError)):
            await WALKS[name](robber, town)


async def _robber(town: LabTown, user: str, stack: AsyncExitStack) -> Robber:
    kubeconfig = town.issue_kubeconfig(user)
    own = await stack.enter_async_context(connected(kubeconfig))
    return Robber(town, user, own, town.admin, stack, kubeconfig=kubeconfig)
