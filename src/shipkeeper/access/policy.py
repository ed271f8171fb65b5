"""Everything that decides who may do what in a cluster, as far as it could be read. Pure."""

import msgspec

from shipkeeper.access.authorizers import ChainConfig, from_modes
from shipkeeper.model.loose import LooseObject
from shipkeeper.model.rbac import Binding, Role
from shipkeeper.model.version import Version

NEWEST = Version(1, 37, 2)
AUTHORIZERS = "authorizers"
"""What of a policy is unread where its chain is not known."""


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be read, and why."""

    what: str
    why: str
    is_failure: bool = False
    """Whether reading it was tried and failed; else no more is to be had where all was read."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's roles and bindings, its authorizers, and the objects that they look at.

    `source` says where it was read (`live`, a folder, a backup). What is in `unread` is not known
    to be absent.
    """

    source: str = ""
    version: Version = NEWEST
    chain: ChainConfig = msgspec.field(default_factory=lambda: from_modes(("Node", "RBAC")))
    is_chain_known: bool = False
    """Whether the chain was read or given, and not taken for the usual one."""
    roles: tuple[Role, ...] = ()
    bindings: tuple[Binding, ...] = ()
    pods: tuple[LooseObject, ...] = ()
    volumes: tuple[LooseObject, ...] = ()
    attachments: tuple[LooseObject, ...] = ()
    resource_slices: tuple[LooseObject, ...] = ()
    certificate_requests: tuple[LooseObject, ...] = ()
    kinds: dict[str, tuple[LooseObject, ...]] = {}
    """What else audits look at by kind: Namespaces, ServiceAccounts, Nodes, Secrets' outlines."""
    unread: tuple[Unread, ...] = ()

    def of_kind(self, kind: str) -> tuple[LooseObject, ...]:
        """The further objects of a kind."""
        return self.kinds.get(kind, ())

    def lacks(self, kind: str) -> str:
        """Why a kind could not be read; empty if it could."""
        return next((each.why for each in self.unread if each.what == kind), "")
