"""One step to more power. Pure."""

from enum import StrEnum

import msgspec

from shipkeeper.access.escalation.powers import Held

Place = tuple[str, str]
"""A vertex: ("User" | "Group" | "ServiceAccount" | "ClusterRole" | ..., its name)."""


class Goal(StrEnum):
    """What is at the end of a path."""

    ADMIN = "cluster-admin"
    ROOT = "node-root"
    SECRETS = "every-secret"
    TRAFFIC = "others-workload"
    """Pods or traffic of others moved to where one has a foothold."""


def goal(which: Goal) -> Place:
    """A goal's vertex."""
    return ("Goal", which.value)


def pods(namespace: str) -> Place:
    """Running pods of one's own making in a namespace, `*` being all."""
    return ("Pods", namespace or "*")


def secrets(namespace: str) -> Place:
    """Reading the Secrets of a namespace."""
    return ("Secrets", namespace or "*")


def tokens(namespace: str) -> Place:
    """Being any ServiceAccount of a namespace."""
    return ("Tokens", namespace or "*")


def inside(namespace: str) -> Place:
    """Running code in the pods that others run in a namespace."""
    return ("Inside", namespace or "*")


ANY_USER: Place = ("AnyUser", "*")
"""Being whatever user one likes."""
ANY_NAME: Place = ("AnyUser", "by name")
"""Being whatever user one likes, in no group that one likes."""
ANY_NODE: Place = ("AnyNode", "*")
"""Being the kubelet of whatever node."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """From one place to another by path number `path`; 0 is what follows by itself."""

    target: Place
    path: int
    how: str
    held: tuple[Held, ...] = ()
    remedy: str = ""
    """What to do about it where no binding can be cut."""

    @property
    def bindings(self) -> tuple[str, ...]:
        """The bindings that it takes."""
        return tuple(dict.fromkeys(each.binding for each in self.held if not each.grant.line))

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines of an ABAC policy that it takes."""
        return tuple(sorted({each.grant.line for each in self.held if each.grant.line}))


def edge(target: Place, path: int, how: str, *held: Held | None) -> Edge:
    """An edge by what of the permissions is held."""
    return Edge(target=target, path=path, how=how, held=tuple(each for each in held if each))


def where(place: str) -> str:
    """A place in words."""
    return f"in namespace {place}" if place else "in every namespace"
