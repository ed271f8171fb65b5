"""Asking the API server beforehand what it would allow, instead of failing half way."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.kube.request import RequestInfo
from shipkeeper.kube.resources import Resource
from shipkeeper.model.base import KubeStruct

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class NotPermittedError(ShipkeeperError):
    """The API server would not allow something that is needed; nothing was tried yet."""


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """A verb on a kind of object, in one namespace or (empty) in all of them; or on one `name`."""

    verb: str
    resource: Resource[Any]
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def request(self) -> RequestInfo:
        """The same as the API server's authorization sees it."""
        return RequestInfo(
            verb=self.verb,
            path=self.resource.path(self.namespace),
            resource=self.resource.plural,
            subresource=self.subresource,
            namespace=self.namespace,
        )

    @property
    def question(self) -> str:
        """The arguments of `kubectl auth can-i` that ask for it."""
        words = self.request.permission
        plural = self.resource.plural
        return words.replace(plural, f"{plural}/{self.name}", 1) if self.name else words


class _ReviewStatus(KubeStruct, frozen=True, kw_only=True):
    allowed: bool = False


class _Review(KubeStruct, frozen=True, kw_only=True):
    status: _ReviewStatus = _ReviewStatus()


async def require_permissions(
    connection: Requests, needed: Iterable[Permission], *, if_not_told: bool = True
) -> None:
    """Return if everything is allowed; NotPermittedError names the first thing that is not."""
    wanted = list(needed)
    answers = await asyncio.gather(
        *(is_permitted(connection, each, if_not_told=if_not_told) for each in wanted)
    )
    for permission, is_allowed in zip(wanted, answers, strict=True):
        if not is_allowed:
            request = permission.request
            raise NotPermittedError(
                f"not allowed to {request}, so nothing was begun",
                reason="Forbidden",
                hint="ask for the permission, then check it: "
                f"kubectl auth can-i {permission.question}",
            )


async def is_permitted(
    connection: Requests, permission: Permission, *, if_not_told: bool = True
) -> bool:
    """Whether it is allowed in all namespaces, or at least in the one that is meant.

    Who may not even ask is told by the request itself, if there is one; what no request follows
    must not go by that.
    """
    everywhere = msgspec.structs.replace(permission, namespace="")
    if await _review(connection, everywhere, if_not_told=if_not_told):
        return True
    return bool(permission.namespace) and await _review(
        connection, permission, if_not_told=if_not_told
    )


async def _review(connection: Requests, permission: Permission, *, if_not_told: bool) -> bool:
    attributes = {
        "verb": permission.verb,
        "group": permission.resource.group,
        "resource": permission.resource.plural,
        "subresource": permission.subresource,
        "namespace": permission.namespace,
        "name": permission.name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        answer = await connection.send("POST", _REVIEWS, body=review)
    except ForbiddenError:
        return if_not_told
    return msgspec.json.decode(answer, type=_Review).status.allowed
