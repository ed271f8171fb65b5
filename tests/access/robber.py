"""Somebody who goes a way to more power on a real API server."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shipkeeper.access.audit import audit
from shipkeeper.access.authorizers import from_modes
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.observe import observe
from shipkeeper.engine.finding import Finding
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from tests.access.servers import with_credentials

MERGE = "application/merge-patch+json"


class Issuer(Protocol):
    """Whoever signs the credentials of a cluster's users."""

    @property
    def ca(self) -> Path:
        """The certificate of the cluster's authority."""
        ...

    def issue_kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """The kubeconfig of a user of these groups."""
        ...


class Robber:
    """One user, and the administrator who looks on."""

    def __init__(
        self,
        sandbox: Issuer,
        user: str,
        own: Connection,
        admin: Connection,
        stack: AsyncExitStack,
        *,
        kubeconfig: Path | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.user = user
        self.own = own
        self.admin = admin
        self.kubeconfig = kubeconfig or sandbox.issue_kubeconfig(user)
        self.stack = stack

    async def send(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """A request of the user's."""
        answer = await self.own.send(method, path, body=body, **more)
        return msgspec.json.decode(answer) if answer[:1] == b"{" else answer

    async def patch(self, path: str, body: object, content_type: str = MERGE) -> Any:
        return await self.send("PATCH", path, body, content_type=content_type)

    async def as_other(self, user: str, *groups: str) -> Connection:
        """The user in another's name."""
        options = ConnectionOptions(
            kubeconfig=str(self.kubeconfig),
            impersonate_user=user,
            impersonate_groups=groups,
        )
        return await self.stack.enter_async_context(connect(options))

    async def with_credentials(self, **user: str) -> Connection:
        """Whoever has these credentials, and no others."""
        path = self.kubeconfig.with_name(f"{self.user}.stolen")
        with_credentials(self.kubeconfig, path, user)
        options = ConnectionOptions(kubeconfig=str(path))
        return await self.stack.enter_async_context(connect(options))

    async def sees_prize(self) -> None:
        """Whether the user can read the Secret in kube-system that only administrators can."""
        await takes_prize(self.own)


async def ways_of(admin: Connection, target: str, lines: str = "") -> list[Finding]:
    """What an audit of the cluster as it is finds about somebody, or something."""
    policy = await observe(admin, EVERY_KIND)
    if lines:
        chain = from_modes(("ABAC", "RBAC"), abac=lines)
        policy = msgspec.structs.replace(policy, chain=chain)
    return [each for each in audit(policy).findings if each.target == target]


async def takes_prize(connection: Connection) -> None:
    """Read the Secret in kube-system that only administrators can."""
    found = await connection.send("GET", "/api/v1/namespaces/kube-system/secrets/prize")
    assert msgspec.json.decode(found)["data"]


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


async def minted(robber: Robber, namespace: str, account: str, **spec: Any) -> str:
    body: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": spec,
    }
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return (await robber.send("POST", path, body))["status"]["token"]


async def minted_for(robber: Robber, namespace: str, account: str, for_pod: Any) -> str:
    """A token that says which pod it is of, and dies with it: the only ones that kubelets make."""
    metadata = for_pod["metadata"]
    bound_to = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"]}
    reference = {**bound_to, "uid": metadata["uid"]}
    return await minted(robber, namespace, account, boundObjectRef=reference)


async def soon(attempt: Callable[[], Awaitable[None]]) -> None:
    """The server's authorizer learns of it a moment later, and so do controllers."""
    async with asyncio.timeout(400):
        while True:
            try:
                return await attempt()
            except (ForbiddenError, NotFoundError, LookupError):
                await asyncio.sleep(0.05)
