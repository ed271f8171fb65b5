"""Who is known in a cluster, and what each of them is granted. Pure."""

from collections.abc import Iterator

from shipkeeper.access.attributes import (
    ANONYMOUS,
    AUTHENTICATED,
    NODES,
    UNAUTHENTICATED,
    User,
    authenticated,
    split_service_account,
)
from shipkeeper.access.chain import Chain
from shipkeeper.access.escalation.edge import Place
from shipkeeper.access.escalation.line_grants import line_grants
from shipkeeper.access.matrix import bound_subjects
from shipkeeper.access.rbac import Grant, Rbac


class Identities:
    """All subjects of bindings and of ABAC lines: ("User" | "Group" | "ServiceAccount", name)."""

    def __init__(self, chain: Chain) -> None:
        self.rbac = chain.rbac or Rbac((), ())
        self._abac = chain.abac
        found: dict[Place, None] = dict.fromkeys(bound_subjects(chain.policy))
        for line in chain.abac.lines if chain.abac else ():
            kind = "ServiceAccount" if split_service_account(line.user) else "User"
            if line.user or line.group:
                found[kind if line.user else "Group", line.user or line.group] = None
        self.known = tuple(found)

    def names(self, kind: str) -> Iterator[str]:
        """The names of those of a kind."""
        return (name for each, name in self.known if each == kind)

    def grants(self, user: User) -> tuple[Grant, ...]:
        """What somebody is granted anywhere, by bindings and by lines."""
        lines = line_grants(self._abac, user) if self._abac else ()
        return (*self.rbac.every_grant_of(user), *lines)


def as_user(kind: str, name: str) -> User:
    """Somebody as authentication would present them."""
    if kind == "Group":
        return User(name="", groups=(name,))
    if kind == "ServiceAccount" or split_service_account(name):
        return authenticated(name)
    if name == ANONYMOUS:
        return User(name=name, groups=(UNAUTHENTICATED,))
    if name.startswith("system:node:"):
        return User(name=name, groups=(NODES, AUTHENTICATED))
    return authenticated(name)
