"""Visitors of a console that others can reach: each logs in with a token of their own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.sandbox.certificates import create_authority, issue_server
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World
from tests.web.served import Served, Tab, served, tab_of

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


@asynccontextmanager
async def served_to_all(sandbox: Sandbox, directory: Path, **more: Any) -> AsyncGenerator[Served]:
    """A console with TLS, at which everybody logs in; its own kubeconfig may be another."""
    pair = issue_server(create_authority("console"), "console", ("127.0.0.1",))
    file = directory / "console.pem"
    file.write_bytes(pair.certificate + pair.key)
    own = more.pop("kubeconfig", sandbox.kubeconfig)
    async with served(own, certificate=file, **more) as found:
        yield found


async def token_of(world: World, name: str, *rules: dict[str, Any]) -> str:
    """A token of a new ServiceAccount that may do what the rules say, in every namespace."""
    space, send = world.name, world.connection.send
    await send(
        "POST", f"/api/v1/namespaces/{space}/serviceaccounts", body={"metadata": {"name": name}}
    )
    await grant(world, name, {"kind": "ServiceAccount", "namespace": space, "name": name}, *rules)
    path = f"/api/v1/namespaces/{space}/serviceaccounts/{name}/token"
    review: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {},
    }
    answer = msgspec.json.decode(await send("POST", path, body=review))
    return answer["status"]["token"]


async def grant(
    world: World, name: str, subject: dict[str, str], *rules: dict[str, Any], namespace: str = ""
) -> None:
    """A ClusterRole of the world with these rules, bound to somebody, in a namespace or in all."""
    role, send = f"{world.name}-{name}", world.connection.send
    body: dict[str, Any] = {"metadata": {"name": role}, "rules": list(rules)}
    await send("POST", f"{_RBAC}/clusterroles", body=body)
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }
    bindings = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
    await send("POST", f"{_RBAC}/{bindings}", body=binding)


@asynccontextmanager
async def visitor(console: Served, token: str) -> AsyncGenerator[Tab]:
    """A tab of somebody who logged in with a token."""
    async with tab_of(console, logs_in=False) as tab:
        status, body = await tab.post("/api/login", {"token": token})
        assert status == 200, body
        await tab.know_session()
        yield tab
        await tab.post("/api/logout", {})


def rule(verbs: str, resources: str, group: str = "") -> dict[str, Any]:
    """A rule of a role, its verbs and resources by commas."""
    return {
        "apiGroups": [group],
        "resources": resources.split(","),
        "verbs": verbs.split(","),
    }
