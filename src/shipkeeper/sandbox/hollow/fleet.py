"""The hollow nodes of a cluster. All that is known of them is kept in their Node objects."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from shipkeeper.kube.changes import Change, Deleted
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.sandbox.hollow.addresses import NODE_NETWORK, AddressPool
from shipkeeper.sandbox.hollow.node import BEHAVIOUR_ANNOTATION
from shipkeeper.sandbox.hollow.values import Behaviour, HollowError

_log = logging.getLogger(__name__)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A hollow node: as the API server shows it, and how it behaves."""

    node: Node
    behaviour: Behaviour

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def boot_id(self) -> str:
        """Which boot of the node this is."""
        return self.node.status.node_info.boot_id

    @property
    def address(self) -> str:
        """The node's IP address."""
        return self.node.address("InternalIP")


Listener = Callable[[str, Member | None, Member | None], None]


class Fleet:
    """Which nodes are hollow; every Node with the behaviour annotation is."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._members: dict[str, Member] = {}
        self._listeners: list[Listener] = []
        self._amending = asyncio.Lock()
        self.addresses = AddressPool(NODE_NETWORK)
        # Nodes that were told to go: nothing is done for them but to clear away their pods.
        self.departed: set[str] = set()

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def get(self, name: str) -> Member | None:
        """The hollow node of a name, if there is one."""
        return self._members.get(name)

    def member(self, name: str) -> Member:
        """The hollow node of a name; HollowError if there is none."""
        found = self._members.get(name)
        if found is None:
            raise HollowError(
                f"there is no hollow node {name!r}",
                reason="UnknownNode",
                hint="see the nodes with: kubectl get nodes",
            )
        return found

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(name, before, now)` when a node comes, goes, or behaves differently."""
        self._listeners.append(listener)

    def notice(self, change: Change[Node]) -> None:
        """Take in a change from the watch."""
        if isinstance(change, Deleted):
            self.forget(change.object.name)
        else:
            self.observe(change.object)

    def observe(self, node: Node) -> None:
        """Take in a node as it is, unless a younger state of it is known."""
        written = node.metadata.annotations.get(BEHAVIOUR_ANNOTATION)
        before = self._members.get(node.name)
        if written is None or (before is not None and is_older(node, before.node)):
            return
        try:
            behaviour = msgspec.json.decode(written, type=Behaviour)
        except msgspec.DecodeError as error:
            _log.warning("node %s, annotation %s: %s", node.name, BEHAVIOUR_ANNOTATION, error)
            return
        now = Member(node=node, behaviour=behaviour)
        self._members[node.name] = now
        self.addresses.claim(now.name, now.address)
        if before is None or (before.behaviour, before.boot_id) != (behaviour, now.boot_id):
            self._tell(now.name, before, now)

    def refresh(self, node: Node) -> None:
        """Take in the answer to a change of a node, unless the node is gone meanwhile."""
        if node.name in self._members:
            self.observe(node)

    def forget(self, name: str) -> None:
        """Take in that a node is gone."""
        before = self._members.pop(name, None)
        if before is not None:
            self.addresses.give_back(name)
            self._tell(name, before, None)

    async def amend(self, name: str, **changes: Any) -> None:
        """Write down what changes in a node's behaviour, and go by it from now on."""
        async with self._amending:
            behaviour = msgspec.structs.replace(self.member(name).behaviour, **changes)
            annotations = {BEHAVIOUR_ANNOTATION: encode_behaviour(behaviour)}
            patch = {"metadata": {"annotations": annotations}}
            self.refresh(await self._writer.patch(NODES, name, patch))

    def _tell(self, name: str, before: Member | None, now: Member | None) -> None:
        for listener in self._listeners:
            listener(name, before, now)


def encode_behaviour(behaviour: Behaviour) -> str:
    """A behaviour as the annotation holds it."""
    return msgspec.json.encode(behaviour).decode()


def is_older(one: KubeObject, other: KubeObject) -> bool:
    """Whether one state of an object was before another (KEP-5504: revisions are numbers)."""
    return int(one.metadata.resource_version) < int(other.metadata.resource_version)
