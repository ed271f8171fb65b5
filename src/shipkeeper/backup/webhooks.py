"""Webhooks that refuse everything because nobody answers: found, quieted, and put back exactly.

What a webhook was like stands on its configuration in the same patch that changes it, so that
whoever comes after a killed run can put it back.
"""

import json
from typing import Any

import msgspec

from shipkeeper.backup.manifest import Manifest, annotations, part, parts
from shipkeeper.backup.restore_plan import Muted
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ConflictError, InvalidError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import Resource
from shipkeeper.kube.writer import JSON_PATCH, Writer
from shipkeeper.model.meta import KubeObject

ANNOTATION = "shipkeeper.dev/quieted-webhooks"
_GROUP = "admissionregistration.k8s.io"
_ATTEMPTS = 5
VALIDATING = Resource(
    _GROUP,
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    KubeObject,
    namespaced=False,
)
MUTATING = Resource(
    _GROUP,
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    KubeObject,
    namespaced=False,
)
_RESOURCES = {each.plural: each for each in (VALIDATING, MUTATING)}
_ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", KubeObject)
_SERVICES = Resource("", "v1", "services", "Service", KubeObject)
_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", KubeObject)


async def find_muted(connection: Connection) -> tuple[Muted, ...]:
    """The configurations with a webhook that fails closed and has no backend, or was quieted."""
    reader = Reader(connection)
    found: list[Muted] = []
    for resource in _RESOURCES.values():
        listed = await connection.send("GET", resource.path())
        for configuration in msgspec.json.decode(listed, type=_Configurations).items:
            muted = await _muted(reader, resource, configuration)
            if muted is not None:
                found.append(muted)
    return tuple(found)


class _Configurations(msgspec.Struct, frozen=True):
    items: list[dict[str, Any]]


async def _muted(
    reader: Reader, resource: Resource[KubeObject], configuration: Manifest
) -> Muted | None:
    name = configuration["metadata"]["name"]
    if ANNOTATION in annotations(configuration):
        names = tuple(json.loads(annotations(configuration)[ANNOTATION]))
        why = "an interrupted restore quieted it"
        return Muted(
            resource=resource.plural, name=name, webhooks=names, message=why, is_left_over=True
        )
    down = [
        (webhook["name"], why)
        for webhook in parts(configuration, "webhooks")
        if webhook.get("failurePolicy") == "Fail"
        if (why := await _why_down(reader, part(webhook, "clientConfig", "service")))
    ]
    if not down:
        return None
    return Muted(
        resource=resource.plural,
        name=name,
        webhooks=tuple(webhook for webhook, _ in down),
        message=down[0][1],
    )


async def _why_down(reader: Reader, service: dict[str, Any]) -> str:
    """Why a Service cannot answer; empty if it may. Whether a URL answers cannot be seen here."""
    if not service:
        return ""
    namespace, name = service["namespace"], service["name"]
    try:
        await reader.get(_SERVICES, name, namespace)
    except NotFoundError:
        return f"fails closed, and its Service {namespace}/{name} does not exist"
    if await _has_endpoints(reader, namespace, name) or await _has_slices(reader, namespace, name):
        return ""
    return f"fails closed, and its Service {namespace}/{name} has no ready endpoint"


async def _has_endpoints(reader: Reader, namespace: str, name: str) -> bool:
    try:
        found = await reader.get_raw(_ENDPOINTS, name, namespace)
    except NotFoundError:
        return False
    return any(subset.get("addresses") for subset in parts(found, "subsets"))


async def _has_slices(reader: Reader, namespace: str, name: str) -> bool:
    query = {"labelSelector": f"kubernetes.io/service-name={name}"}
    try:
        listed = await reader.connection.send("GET", _SLICES.path(namespace), query=query)
    except NotFoundError:
        return False  # Before 1.21 there are Endpoints for everything.
    endpoints = [
        each
        for found in msgspec.json.decode(listed, type=_Configurations).items
        for each in parts(found, "endpoints")
    ]
    return any(part(each, "conditions").get("ready", True) for each in endpoints)


async def quiet(reader: Reader, writer: Writer, plural: str, name: str) -> bool:
    """Let the failing-closed webhooks without backend ignore failures; False if none is left."""
    resource = _RESOURCES[plural]
    for _ in range(_ATTEMPTS):
        found = await _read(reader, resource, name)
        if found is None or ANNOTATION in annotations(found):
            return False
        muted = await _muted(reader, resource, found)
        if muted is None:
            return False
        changes = dict.fromkeys(muted.webhooks, "Ignore")
        remembered = json.dumps(dict.fromkeys(muted.webhooks, "Fail"))
        if await _patch(writer, resource, found, changes, remembered):
            return True
    raise _contended(plural, name)


async def wake(reader: Reader, writer: Writer, plural: str, name: str) -> bool:
    """Put a quieted configuration back as it was; False if it is gone, or was not quieted."""
    resource = _RESOURCES[plural]
    for _ in range(_ATTEMPTS):
        found = await _read(reader, resource, name)
        if found is None or ANNOTATION not in annotations(found):
            return False
        before: dict[str, str] = json.loads(annotations(found)[ANNOTATION])
        if await _patch(writer, resource, found, before, None):
            return True
    raise _contended(plural, name)


async def _read(reader: Reader, resource: Resource[KubeObject], name: str) -> Manifest | None:
    try:
        return await reader.get_raw(resource, name)
    except NotFoundError:
        return None


async def _patch(
    writer: Writer,
    resource: Resource[KubeObject],
    found: Manifest,
    policies: dict[str, str],
    remembered: str | None,
) -> bool:
    """Set failurePolicies by webhook, and the memory of them; False if it changed meanwhile."""
    metadata = found["metadata"]
    pointer = f"/metadata/annotations/{ANNOTATION.replace('/', '~1')}"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    ]
    if not metadata.get("annotations"):
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    if remembered is None:
        patch.append({"op": "remove", "path": pointer})
    else:
        patch.append({"op": "add", "path": pointer, "value": remembered})
    for number, webhook in enumerate(parts(found, "webhooks")):
        if webhook["name"] in policies:
            path = f"/webhooks/{number}/failurePolicy"
            patch.append({"op": "replace", "path": path, "value": policies[webhook["name"]]})
    try:
        await writer.patch(resource, metadata["name"], patch, content_type=JSON_PATCH)
    except (ConflictError, InvalidError):
        return False
    return True


def _contended(plural: str, name: str) -> ShipkeeperError:
    return ShipkeeperError(
        f"{plural} {name} changes faster than it can be patched",
        reason="Contended",
        hint="see who keeps writing it, then run the same command again",
    )
