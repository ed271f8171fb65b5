"""Who somebody is to the API server."""

import msgspec

from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ForbiddenError, NotFoundError, Status, UnauthorizedError
from shipkeeper.model.base import KubeStruct

_GROUP = "authentication.k8s.io"
# SelfSubjectReview is in v1 since 1.28, in v1beta1 since 1.27.
_VERSIONS = ("v1", "v1beta1")


class Identity(KubeStruct, frozen=True, kw_only=True):
    """A user as authentication knows them."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()


class _SelfStatus(KubeStruct, frozen=True, kw_only=True):
    user_info: Identity = Identity()


class _SelfReview(KubeStruct, frozen=True, kw_only=True):
    status: _SelfStatus = _SelfStatus()


class _TokenStatus(KubeStruct, frozen=True, kw_only=True):
    authenticated: bool = False
    user: Identity = Identity()
    error: str = ""


class _TokenReview(KubeStruct, frozen=True, kw_only=True):
    status: _TokenStatus = _TokenStatus()


async def who_am_i(connection: Requests) -> Identity | None:
    """Who asks, as the server sees them; None if it does not tell (before 1.27, or forbidden)."""
    for version in _VERSIONS:
        body = {"apiVersion": f"{_GROUP}/{version}", "kind": "SelfSubjectReview"}
        path = f"/apis/{_GROUP}/{version}/selfsubjectreviews"
        try:
            answer = await connection.send("POST", path, body=body)
        except NotFoundError:
            continue
        except ForbiddenError:
            return None
        return msgspec.json.decode(answer, type=_SelfReview).status.user_info
    return None


async def who_has(connection: Requests, token: str) -> Identity:
    """Whose token it is, asked by somebody who may create TokenReviews; UnauthorizedError."""
    body = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    answer = await connection.send("POST", f"/apis/{_GROUP}/v1/tokenreviews", body=body)
    status = msgspec.json.decode(answer, type=_TokenReview).status
    if not status.authenticated:
        raise UnauthorizedError(
            "the API server does not know this token",
            Status(code=401, reason="Unauthorized", message=status.error),
            hint="is it complete, and not expired? make one with: kubectl create token …",
        )
    return status.user


async def identify(asking: Requests, own: Requests, token: str) -> Identity:
    """Whose token it is, by the server itself: first asked with the token, else about it.

    `asking` sends with the token, `own` as whoever may create TokenReviews. UnauthorizedError for
    a token that the server does not know.
    """
    found = await who_am_i(asking)
    return found if found is not None else await who_has(own, token)
