"""Mends made on a real API server, and taken back."""

import asyncio
from typing import Any

import msgspec

from shipkeeper.access.attributes import User
from shipkeeper.access.explain import NearMiss
from shipkeeper.access.policy import Policy
from shipkeeper.access.words import Question
from shipkeeper.kube.connection import Connection
from shipkeeper.model.rbac import GROUP, Binding, Role
from tests.access.world import LABEL, Manifest, ask, create, delete

# A server's authorizer learns of a change a moment later.
_LAG_SECONDS = 20.0


def spec_of(user: User, asked: Question, namespace: str = "") -> dict[str, Any]:
    """A review's spec; the question's namespace unless another one is given."""
    if asked.target is None:
        url = {"verb": asked.verb, "path": asked.path}
        return {"user": user.name, "groups": list(user.groups), "nonResourceAttributes": url}
    attributes = {
        "verb": asked.verb,
        "group": asked.target.group,
        "resource": asked.target.resource,
        "subresource": asked.target.subresource,
        "namespace": namespace or asked.namespace,
        "name": asked.name,
    }
    return {"user": user.name, "groups": list(user.groups), "resourceAttributes": attributes}


async def answers(connection: Connection, spec: dict[str, Any], *, allowed: bool) -> bool:
    """Whether a server comes to this answer."""
    try:
        async with asyncio.timeout(_LAG_SECONDS):
            while (await ask(connection, spec)).allowed is not allowed:
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True


async def flips(
    admin: Connection, server: Connection, policy: Policy, miss: NearMiss, spec: dict[str, Any]
) -> bool:
    """Whether a server's no becomes a yes by a mend, and a no again without it."""
    if not await answers(server, spec, allowed=False):
        return False
    made = [each for each in (miss.role, miss.binding) if each is not None]
    await _replace(admin, made, made)
    is_allowed = await answers(server, spec, allowed=True)
    known = {(each.kind, each.key): each for each in (*policy.roles, *policy.bindings)}
    before = [known[each.kind, each.key] for each in made if (each.kind, each.key) in known]
    await _replace(admin, made, before)
    return is_allowed and await answers(server, spec, allowed=False)


async def _replace(admin: Connection, old: list[Role | Binding], new: list[Role | Binding]) -> None:
    # A binding's role cannot be changed, so both are made anew.
    await delete(admin, *map(_manifest, old))
    await create(admin, *map(_manifest, new))


def _manifest(each: Role | Binding) -> Manifest:
    made: Manifest = msgspec.to_builtins(each)
    for part in ("uid", "resourceVersion", "creationTimestamp"):
        made["metadata"].pop(part, None)
    made |= {"apiVersion": f"{GROUP}/v1", "kind": each.kind}
    made["metadata"]["labels"] = LABEL | made["metadata"].get("labels", {})
    if isinstance(each, Binding):
        made["roleRef"]["apiGroup"] = GROUP
        for subject in made["subjects"]:
            if subject["kind"] != "ServiceAccount":
                subject["apiGroup"] = GROUP
    return made


def path_of(manifest: Manifest) -> str:
    """The path of a role or binding."""
    metadata = manifest["metadata"]
    where = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    return f"/apis/{GROUP}/v1{where}/{manifest['kind'].lower()}s/{metadata['name']}"
