"""What requests of an audit log needed, one line at a time. Pure."""

from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from shipkeeper.access.attributes import (
    NODE_PREFIX,
    Attributes,
    User,
    implicit_groups,
    split_service_account,
)
from shipkeeper.model.base import KubeStruct

_ALLOW = "allow"
_DECISION = "authorization.k8s.io/decision"
_AUTHENTICATION = "authentication.k8s.io"
_IMPERSONATE = "impersonate"
_ASSOCIATED_NODE = "impersonate:associated-node"


class _LoggedUser(KubeStruct, frozen=True, kw_only=True):
    username: str = ""
    groups: tuple[str, ...] | None = None
    uid: str = ""
    extra: dict[str, tuple[str, ...]] | None = None


class _Metadata(KubeStruct, frozen=True, kw_only=True):
    impersonation_constraint: str = ""


class _ObjectRef(KubeStruct, frozen=True, kw_only=True):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    subresource: str = ""


class _Line(KubeStruct, frozen=True, kw_only=True):
    # Without these it is no event of an audit log, whatever else it may be.
    verb: str
    user: _LoggedUser
    stage: str = ""
    impersonated_user: _LoggedUser | None = None
    authentication_metadata: _Metadata | None = None
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
    asked = _asked(found, _user(found.impersonated_user))
    metadata = found.authentication_metadata
    constraint = metadata.impersonation_constraint if metadata else ""
    return (*_impersonation(user, found.impersonated_user, constraint, asked), asked)


def _user(logged: _LoggedUser) -> User:
    return User(name=logged.username, groups=logged.groups or ())


def _impersonation(
    user: User, other: _LoggedUser, constraint: str, asked: Attributes
) -> Iterator[Attributes]:
    """What it took to act as another: the name, and each group, uid and extra value besides.

    As k8s.io/apiserver pkg/endpoints/filters/impersonation asks its authorizer. A group that
    everybody like them is in anyway is taken not to have been asked for.
    """
    verb = constraint or _IMPERSONATE
    group = _AUTHENTICATION if constraint else ""
    blank = Attributes(user=user, verb=verb, group=_AUTHENTICATION)
    replace = msgspec.structs.replace
    if constraint:
        on = f"impersonate-on:{constraint.removeprefix('impersonate:')}:{asked.verb}"
        yield replace(asked, user=user, verb=on)
    yield _impersonated(replace(blank, group=group), other.username, constraint)
    known = implicit_groups(other.username)
    # In the other constrained modes the server alone decides on the groups.
    may_choose = not constraint or constraint == "impersonate:user-info"
    for each in (other.groups or ()) if may_choose else ():
        if each not in known:
            yield replace(blank, group=group, resource="groups", name=each)
    if other.uid:
        yield replace(blank, resource="uids", name=other.uid)
    for key, values in (other.extra or {}).items():
        for value in values:
            yield replace(blank, resource="userextras", subresource=key, name=value)


def _impersonated(blank: Attributes, name: str, constraint: str) -> Attributes:
    account = split_service_account(name)
    replace = msgspec.structs.replace
    if account:
        return replace(blank, resource="serviceaccounts", namespace=account[0], name=account[1])
    if constraint.endswith("-node"):
        # The own node is granted to whole sets of pods, so the server asks about no name.
        node = "*" if constraint == _ASSOCIATED_NODE else name.removeprefix(NODE_PREFIX)
        return replace(blank, resource="nodes", name=node)
    return replace(blank, resource="users", name=name)


def _asked(line: _Line, user: User) -> Attributes:
    about = line.object_ref
    if about is None or not about.resource:
        path = unquote(line.request_uri.partition("?")[0])
        return Attributes(user=user, verb=line.verb, path=path, resource_request=False)
    # What is created has no name yet when it is authorized; its subresources are of one that has.
    is_nameless = line.verb == "create" and not about.subresource
    return Attributes(
        user=user,
        verb=line.verb,
        group=about.api_group,
        resource=about.resource,
        subresource=about.subresource,
        name="" if is_nameless else about.name,
        namespace=about.namespace,
    )
