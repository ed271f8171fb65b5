"""What requests of an audit log needed, one line at a time. Pure."""

from urllib.parse import unquote

import msgspec

from shipkeeper.access.attributes import Attributes, User
from shipkeeper.model.base import KubeStruct

_ALLOW = "allow"
_DECISION = "authorization.k8s.io/decision"


class _LoggedUser(KubeStruct, frozen=True, kw_only=True):
    username: str = ""
    groups: tuple[str, ...] | None = None


class _ObjectRef(KubeStruct, frozen=True, kw_only=True):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    subresource: str = ""


class _Line(KubeStruct, frozen=True, kw_only=True):
    stage: str = ""
    verb: str = ""
    user: _LoggedUser = _LoggedUser()
    impersonated_user: _LoggedUser | None = None
    object_ref: _ObjectRef | None = None
    request_uri: str = msgspec.field(default="", name="requestURI")
    annotations: dict[str, str] | None = None


_DECODER = msgspec.json.Decoder(_Line)


def needs_of(line: bytes, *, with_denied: bool = False) -> tuple[Attributes, ...]:
    """What one line of an audit log needed; nothing of a request that was refused or just began.

    Whoever acted as another needed to impersonate them. msgspec.DecodeError for what is no line.
    """
    found = _DECODER.decode(line)
    decision = (found.annotations or {}).get(_DECISION, _ALLOW)
    if found.stage == "RequestReceived" or (decision != _ALLOW and not with_denied):
        return ()
    user = _user(found.user)
    if found.impersonated_user is None:
        return (_asked(found, user),)
    other = _user(found.impersonated_user)
    impersonation = Attributes(user=user, verb="impersonate", resource="users", name=other.name)
    return (impersonation, _asked(found, other))


def _user(logged: _LoggedUser) -> User:
    return User(name=logged.username, groups=logged.groups or ())


def _asked(line: _Line, user: User) -> Attributes:
    about = line.object_ref
    if about is None or not about.resource:
        path = unquote(line.request_uri.partition("?")[0])
        return Attributes(user=user, verb=line.verb, path=path, resource_request=False)
    return Attributes(
        user=user,
        verb=line.verb,
        group=about.api_group,
        resource=about.resource,
        subresource=about.subresource,
        # What is created has no name yet when it is authorized.
        name="" if line.verb in ("create", "list", "watch", "deletecollection") else about.name,
        namespace=about.namespace,
    )
