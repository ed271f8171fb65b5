"""What is asked of an authorizer: somebody, a verb, and a resource or a URL path. Pure."""

import msgspec

from shipkeeper.model.base import KubeStruct

MASTERS = "system:masters"
NODES = "system:nodes"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNTS = "system:serviceaccounts"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
NODE_PREFIX = "system:node:"


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody by name, with the groups that authentication found; none is ever added."""

    name: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, tuple[str, ...]] = {}

    @property
    def node(self) -> str | None:
        """The name of the node (maybe empty) that it is a kubelet of; None if it is none."""
        if self.name.startswith(NODE_PREFIX) and NODES in self.groups:
            return self.name.removeprefix(NODE_PREFIX)
        return None


class SelectorTerm(msgspec.Struct, frozen=True, gc=False):
    """One requirement of a field or label selector: In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class ResourceAttributes(KubeStruct, frozen=True, kw_only=True):
    """A verb on a resource, as a review spells it; what is empty is not said."""

    verb: str = ""
    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


class Attributes(ResourceAttributes, frozen=True, kw_only=True):
    """One question; about a resource, or (`path` set, `resource_request` false) about a URL."""

    user: User
    version: str = "*"
    path: str = ""
    resource_request: bool = True
    fields: tuple[SelectorTerm, ...] = ()
    labels: tuple[SelectorTerm, ...] = ()

    @property
    def combined(self) -> str:
        """The resource as rules spell it: `pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def __str__(self) -> str:
        if not self.resource_request:
            return f"{self.verb} {self.path}"
        group = f".{self.group}" if self.group else ""
        subresource = f"/{self.subresource}" if self.subresource else ""
        name = f" {self.name}" if self.name else ""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{group}{subresource}{name}{where}"


def service_account(namespace: str, name: str) -> User:
    """A ServiceAccount as its tokens are authenticated, with its implicit groups."""
    return User(
        name=service_account_name(namespace, name),
        groups=(SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED),
    )


def service_account_name(namespace: str, name: str) -> str:
    """The user name of a ServiceAccount."""
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def split_service_account(user: str) -> tuple[str, str] | None:
    """Namespace and name of a ServiceAccount's user name, None for other users."""
    namespace, colon, name = user.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    is_one = user.startswith(SERVICE_ACCOUNT_PREFIX) and colon and namespace and name
    return (namespace, name) if is_one and ":" not in name else None


def implicit_groups(name: str) -> tuple[str, ...]:
    """The groups that authentication puts a user of this name in, whatever else it finds."""
    found = split_service_account(name)
    if found:
        return service_account(*found).groups
    return (UNAUTHENTICATED,) if name == ANONYMOUS else (AUTHENTICATED,)


def authenticated(name: str, groups: tuple[str, ...] = ()) -> User:
    """Somebody as authentication would present them: with the groups that everybody gets."""
    return User(name=name, groups=tuple(dict.fromkeys((*groups, *implicit_groups(name)))))
