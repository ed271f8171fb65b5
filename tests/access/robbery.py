"""Each way walked to its end on a real API server, by a user who holds that way's rules alone."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ApiError, ForbiddenError, UnauthorizedError
from shipkeeper.kube.writer import APPLY_PATCH
from tests.access.forgery import approve, sign
from tests.access.hooks import admission
from tests.access.robber import (
    MERGE,
    Robber,
    deployment,
    minted,
    minted_for,
    pod,
    soon,
    takes_prize,
)
from tests.access.theft import cordon_and_evict, draw_by_pod, draw_by_service, shrink_and_delete
from tests.access.ways import CREW, GATHERED, NAMESPACE, STRICT

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_HERE = f"/api/v1/namespaces/{NAMESPACE}"
_APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_STRATEGIC = "application/strategic-merge-patch+json"


async def list_secrets(robber: Robber) -> None:
    found = await robber.send("GET", "/api/v1/secrets")
    assert any(each["metadata"]["name"] == "prize" and each["data"] for each in found["items"])


async def watch_secrets(robber: Robber) -> None:
    path = "/api/v1/namespaces/kube-system/secrets"
    query = {"watch": "1", "resourceVersion": "0"}
    async with robber.own.stream(path, query, inactivity=timedelta(seconds=30)) as chunks:
        seen = b""
        async for chunk in chunks:
            seen += chunk
            if b'"prize"' in seen:
                return
    raise AssertionError("the watch did not show the Secret")


async def create_pods(robber: Robber) -> None:
    made = await robber.send("POST", f"{_HERE}/pods", pod(robber.user, serviceAccountName="mighty"))
    volumes = made["spec"]["volumes"]
    assert any("projected" in each for each in volumes), "no token is mounted"


async def apply_pod(robber: Robber) -> None:
    """What is applied has a name when its creation is authorized."""
    wanted = pod("applied", serviceAccountName="mighty")
    body, query = wanted, {"fieldManager": "robber"}
    made = await robber.send(
        "PATCH", f"{_HERE}/pods/applied", body, query=query, content_type=APPLY_PATCH
    )
    assert made["spec"]["serviceAccountName"] == "mighty"


async def create_deployments(robber: Robber) -> None:
    made = await robber.send("POST", _APPS, deployment(robber.user, "mighty"))
    assert made["spec"]["template"]["spec"]["serviceAccountName"] == "mighty"


async def patch_deployments(robber: Robber) -> None:
    change = {"spec": {"template": {"spec": {"serviceAccountName": "mighty"}}}}
    made = await robber.patch(f"{_APPS}/app", change)
    assert made["spec"]["template"]["spec"]["serviceAccountName"] == "mighty"


async def patch_pods(robber: Robber) -> None:
    change = {"spec": {"containers": [{"name": "main", "image": "example.com/mine"}]}}
    made = await robber.patch(f"{_HERE}/pods/target", change, _STRATEGIC)
    assert made["spec"]["containers"][0]["image"] == "example.com/mine"


async def debug(robber: Robber) -> None:
    container = {"name": "mine", "image": "example.com/mine"}
    change = {"spec": {"ephemeralContainers": [container]}}
    made = await robber.patch(f"{_HERE}/pods/target/ephemeralcontainers", change, _STRATEGIC)
    assert made["spec"]["ephemeralContainers"][0]["name"] == "mine"


async def is_let_through(robber: Robber, method: str, path: str) -> None:
    """There is no kubelet behind it: let through is whoever gets as far as looking for one."""
    try:
        await robber.send(method, path, timeout=timedelta(seconds=20))
    except (ForbiddenError, UnauthorizedError):
        raise
    except ApiError:
        return


async def enter(robber: Robber) -> None:
    await is_let_through(robber, "POST", f"{_HERE}/pods/target/exec?command=id&stdout=1")


async def node_proxy(robber: Robber) -> None:
    await is_let_through(robber, "GET", "/api/v1/nodes/ways-node/proxy/pods")


async def tokens(robber: Robber) -> None:
    await takes_prize(
        await robber.with_credentials(token=await minted(robber, NAMESPACE, "mighty"))
    )


async def plant(robber: Robber) -> None:
    annotations = {"kubernetes.io/service-account.name": "mighty"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "planted", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    await robber.send("POST", f"{_HERE}/secrets", secret)
    token = ""
    async with asyncio.timeout(60):
        while not token:
            found = await robber.send("GET", f"{_HERE}/secrets/planted")
            token = found.get("data", {}).get("token", "")
            await asyncio.sleep(0.1)
    await takes_prize(await robber.with_credentials(token=b64decode(token).decode()))


async def bind(robber: Robber) -> None:
    await _binds(robber, robber.own)


async def _binds(robber: Robber, by: Connection) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{robber.user}-gain"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": robber.user}],
    }
    await by.send("POST", f"{_RBAC}/clusterrolebindings", body=binding)
    await soon(robber.sees_prize)


async def escalate(robber: Robber) -> None:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    await robber.patch(f"{_RBAC}/clusterroles/{robber.user}", {"rules": [everything]})
    await soon(robber.sees_prize)


async def impersonate(robber: Robber) -> None:
    other = await robber.as_other("somebody", "system:masters")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets/prize")


async def impersonate_account(robber: Robber) -> None:
    other = await robber.as_other(f"system:serviceaccount:{NAMESPACE}:mighty")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets/prize")


async def constrained(robber: Robber) -> None:
    other = await robber.as_other("boss")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets")


async def constrained_group(robber: Robber) -> None:
    other = await robber.as_other("somebody", CREW)
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets")


async def constrained_bind(robber: Robber) -> None:
    """Whoever may bind what they have binds it to the robber."""
    await _binds(robber, await robber.as_other("boss"))


async def constrained_secret(robber: Robber) -> None:
    token = await aboard(await robber.as_other("boss"))
    await takes_prize(await robber.with_credentials(token=token))


async def named_secret(robber: Robber) -> None:
    await takes_prize(await robber.with_credentials(token=await aboard(robber.own)))


async def aboard(connection: Connection) -> str:
    """The token that the controller manager puts into a Secret, once it is there."""
    token = ""
    async with asyncio.timeout(60):
        while not token:
            found = msgspec.json.decode(await connection.send("GET", f"{_HERE}/secrets/aboard"))
            token = found.get("data", {}).get("token", "")
    return b64decode(token).decode()


async def constrained_account(robber: Robber) -> None:
    other = await robber.as_other(f"system:serviceaccount:{NAMESPACE}:mighty")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets")


async def constrained_node(robber: Robber) -> None:
    """As a kubelet, which makes the tokens of its pods."""
    other = await robber.as_other("system:node:ways-node")
    kubelet = Robber(robber.sandbox, robber.user, other, robber.admin, robber.stack)
    target = msgspec.json.decode(await robber.admin.send("GET", f"{_HERE}/pods/target"))
    token = await minted_for(kubelet, NAMESPACE, "mighty", target)
    await takes_prize(await robber.with_credentials(token=token))


async def constrained_node_secrets(robber: Robber) -> None:
    """As a kubelet, which reads the Secrets of its pods."""
    other = await robber.as_other("system:node:ways-node")
    await takes_prize(await robber.with_credentials(token=await aboard(other)))


async def mutate(robber: Robber) -> None:
    """What an administrator creates becomes what the user likes."""
    theirs = pod("theirs")

    def turned(asked: dict[str, Any]) -> dict[str, Any]:
        where = "/spec/containers/0/image"
        patch = [{"op": "replace", "path": where, "value": "example.com/mine"}]
        return {"patchType": "JSONPatch", "patch": b64encode(msgspec.json.encode(patch)).decode()}

    async with hooked(robber, "MutatingWebhookConfiguration", "pods", turned):

        async def created() -> None:
            query = {"dryRun": "All"}
            made = await robber.admin.send("POST", f"{_HERE}/pods", body=theirs, query=query)
            spec = msgspec.json.decode(made)["spec"]
            if spec["containers"][0]["image"] != "example.com/mine":
                raise LookupError("the webhook is not known yet")

        await soon(created)


async def watchful(robber: Robber) -> None:
    """What an administrator writes is shown."""
    shown: list[dict[str, Any]] = []

    def kept(asked: dict[str, Any]) -> dict[str, Any]:
        shown.append(asked["object"])
        return {}

    async with hooked(robber, "ValidatingWebhookConfiguration", "secrets", kept):

        async def written() -> None:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "private"}}
            body = {**secret, "data": {"key": "cHJpemU="}}
            query = {"dryRun": "All"}
            await robber.admin.send("POST", f"{_HERE}/secrets", body=body, query=query)
            if not shown:
                raise LookupError("the webhook is not known yet")

        await soon(written)
    assert shown[0]["data"] == {"key": "cHJpemU="}


@asynccontextmanager
async def hooked(
    robber: Robber, kind: str, resource: str, answer: Callable[[dict[str, Any]], dict[str, Any]]
) -> AsyncGenerator[None]:
    """A webhook of the user's own, set by the user; the administrator takes it away again."""
    async with admission(answer) as (url, authority):
        each = {
            "name": "robbery.example.com",
            "clientConfig": {"url": url, "caBundle": b64encode(authority).decode()},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": [resource],
                }
            ],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": robber.user},
            "webhooks": [each],
        }
        path = f"{_ADMISSION}/{kind.lower()}s"
        await robber.send("POST", path, body)
        try:
            yield
        finally:
            await robber.admin.send("DELETE", f"{path}/{robber.user}")


async def volume(robber: Robber) -> None:
    size = {"storage": "1Gi"}
    spec: dict[str, Any] = {
        "capacity": size,
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/"},
        "storageClassName": "",
    }
    disk = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": robber.user}}
    await robber.send("POST", "/api/v1/persistentvolumes", {**disk, "spec": spec})
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": size},
            "volumeName": robber.user,
            "storageClassName": "",
        },
    }
    strict = f"/api/v1/namespaces/{STRICT}"
    await robber.send("POST", f"{strict}/persistentvolumeclaims", claim)
    mount = {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}
    secure = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # Pod Security, which forbids host paths here, lets it pass.
    body = pod("disk", volumes=[mount], container={"securityContext": secure})
    await robber.send("POST", f"{strict}/pods", body)


async def relabel(robber: Robber) -> None:
    strict = f"/api/v1/namespaces/{STRICT}"
    root = pod(robber.user, container={"securityContext": {"privileged": True}})
    # As it stands, Pod Security does not take it.
    with pytest.raises(ForbiddenError, match="PodSecurity"):
        await robber.send("POST", f"{strict}/pods", root)
    try:
        await robber.patch(strict, enforced("privileged"))
        await soon(lambda: robber.send("POST", f"{strict}/pods", root))
    finally:
        await robber.admin.send("PATCH", strict, body=enforced("restricted"), content_type=MERGE)
        await soon(lambda: _refused(robber, f"{strict}/pods", pod("other", hostPID=True)))


def enforced(level: str) -> dict[str, Any]:
    """A change of what Pod Security lets into a namespace."""
    return {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}


async def _refused(robber: Robber, path: str, body: dict[str, Any]) -> None:
    try:
        await robber.admin.send("POST", path, body=body, query={"dryRun": "All"})
    except ForbiddenError:
        return
    raise LookupError("the label is not known yet")


async def join(robber: Robber) -> None:
    """What the user has is gathered by label; the user adds a role with that label."""
    with pytest.raises(ForbiddenError):
        await robber.sees_prize()
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{robber.user}-gain", "labels": GATHERED},
        "rules": [everything],
    }
    await robber.send("POST", f"{_RBAC}/clusterroles", role)
    await soon(robber.sees_prize)


_GHOST = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ghost"}}
_ACCOUNTS = f"/api/v1/namespaces/{STRICT}/serviceaccounts"


async def revive(robber: Robber) -> None:
    """A binding outlived its ServiceAccount."""
    await robber.send("POST", _ACCOUNTS, _GHOST)
    await _is_ghost(robber)


async def revive_by_name(robber: Robber) -> None:
    """What is created has no name for the authorizer; what is applied has."""
    with pytest.raises(ForbiddenError):
        await robber.send("POST", _ACCOUNTS, _GHOST)
    path, query = f"{_ACCOUNTS}/ghost", {"fieldManager": robber.user}
    await robber.send("PATCH", path, _GHOST, query=query, content_type=APPLY_PATCH)
    await _is_ghost(robber)


async def _is_ghost(robber: Robber) -> None:
    token = await minted(robber, STRICT, "ghost")
    await takes_prize(await robber.with_credentials(token=token))
    # It is gone again for whoever comes next.
    await robber.admin.send("DELETE", f"{_ACCOUNTS}/ghost")


ROBBERIES: dict[str, Callable[[Robber], Awaitable[None]]] = {
    "list-secrets": list_secrets,
    "watch-secrets": watch_secrets,
    "named-secret": named_secret,
    "create-pods": create_pods,
    "apply-pod": apply_pod,
    "create-deployments": create_deployments,
    "patch-deployments": patch_deployments,
    "patch-pods": patch_pods,
    "exec": enter,
    "exec-one": enter,
    "debug": debug,
    "node-proxy": node_proxy,
    "tokens": tokens,
    "one-token": tokens,
    "second-token": tokens,
    "plant": plant,
    "bind": bind,
    "bind-one": bind,
    "bind-second": bind,
    "escalate": escalate,
    "impersonate": impersonate,
    "impersonate-second": constrained,
    "impersonate-account": impersonate_account,
    "constrained": constrained,
    "constrained-user": constrained,
    "constrained-group": constrained_group,
    "constrained-any-group": constrained_group,
    "constrained-bind": constrained_bind,
    "constrained-secret": constrained_secret,
    "constrained-list": constrained,
    "constrained-account": constrained_account,
    "constrained-node": constrained_node,
    "constrained-named-node": constrained_node,
    "constrained-node-secrets": constrained_node_secrets,
    "constrained-node-secret": constrained_node_secrets,
    "approve": approve,
    "sign": sign,
    "mutate": mutate,
    "watchful": watchful,
    "volume": volume,
    "relabel": relabel,
    "relabel-inside": relabel,
    "join": join,
    "revive": revive,
    "revive-by-name": revive_by_name,
    "steal": cordon_and_evict,
    "shrink": shrink_and_delete,
    "draw-by-pod": draw_by_pod,
    "draw-by-service": draw_by_service,
}
