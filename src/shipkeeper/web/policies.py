"""A cluster's policy as somebody who is logged in may read it; kept a while for their questions."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar
from weakref import WeakKeyDictionary

import msgspec

from shipkeeper.access.assembly import type_of
from shipkeeper.access.chain import Chain
from shipkeeper.access.escalation.graph import EscalationGraph
from shipkeeper.access.kinds import EVERY_KIND, PolicyKind
from shipkeeper.access.observe import observe
from shipkeeper.access.policy import Policy
from shipkeeper.kube.access import Permission
from shipkeeper.kube.resources import Resource
from shipkeeper.web.person import Missing, Person

T = TypeVar("T")
_KEPT = 60.0  # seconds


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A policy of one moment, what decides by it, and the permissions that reading it lacked."""

    policy: Policy
    chain: Chain
    graph: EscalationGraph
    read_at: datetime
    missing: tuple[Missing, ...]


class Policies:
    """One reading for each who asks: they look with their own rights, and no other sees it."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Person, tuple[float, Reading]] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[Person, asyncio.Lock] = WeakKeyDictionary()

    async def of(self, person: Person, *, anew: bool = False) -> Reading:
        """The policy as this person may read it, at most a minute old."""
        began = _now()
        async with self._lock(person):
            at, reading = self._found.get(person, (-_KEPT, None))
            # Whoever waited for a reading that began meanwhile takes that one.
            is_fresh = at >= began if anew else _now() - at < _KEPT
            if reading is None or not is_fresh:
                reading = await self._read(person)
                self._found[person] = (_now(), reading)
            return reading

    async def ask(self, person: Person, question: Callable[[Reading], T]) -> tuple[Reading, T]:
        """The answer to a question about it, found beside the requests of others."""
        reading = await self.of(person)
        async with self._lock(person):
            return reading, await asyncio.to_thread(question, reading)

    async def _read(self, person: Person) -> Reading:
        policy = await observe(person.connection, EVERY_KIND)
        unread = {each.what for each in policy.unread}
        needed = [_listing(kind) for kind in EVERY_KIND if kind.kind in unread]
        missing = await person.missing(needed)
        chain = await asyncio.to_thread(Chain, policy)
        return Reading(
            policy=policy,
            chain=chain,
            graph=EscalationGraph(chain),
            read_at=datetime.now(UTC),
            missing=missing,
        )

    def _lock(self, person: Person) -> asyncio.Lock:
        return self._locks.setdefault(person, asyncio.Lock())


def _listing(kind: PolicyKind) -> Permission:
    resource = Resource(
        kind.group, kind.version, kind.plural, kind.kind, type_of(kind), kind.namespaced
    )
    return Permission(verb="list", resource=resource)


def _now() -> float:
    return asyncio.get_running_loop().time()
