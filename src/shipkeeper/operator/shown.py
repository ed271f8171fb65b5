"""The text of a plan as an object's status shows it, or says where it is if it is long."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.ledger import ClusterLedger, Home, keep_text

# What is longer than this is kept in ConfigMaps: `kubectl get -o yaml` is to stay readable.
PLAN_LIMIT = 32_768


class ShownPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan as its command prints it, or the ConfigMaps that it is in."""

    text: str = ""
    places: tuple[ObjectRef, ...] = ()


async def show(writer: Writer, home: Home, text: str) -> ShownPlan:
    """The text of a plan as a status has it."""
    if len(text) <= PLAN_LIMIT:
        return ShownPlan(text=text)
    return ShownPlan(places=await keep(writer, home, "plan", text))


async def keep(writer: Writer, home: Home, what: str, text: str) -> tuple[ObjectRef, ...]:
    """Keep a text where people find it; `what` is the name of its key, without `.txt`."""
    names = await keep_text(writer, home, what, text)
    return tuple(ObjectRef(namespace=home.namespace, name=name) for name in names)


class ShownPlans:
    """The plans of runs, each made into text once: that may take a while."""

    def __init__(self, writer: Callable[[], Writer], text: Callable[[Plan, datetime], str]) -> None:
        self._writer = writer
        self._text = text
        self._known: dict[str, tuple[Plan, ShownPlan]] = {}

    async def of(self, uid: str, ledger: ClusterLedger) -> ShownPlan:
        """The plan of an object's run."""
        record = ledger.record
        known = self._known.get(uid)
        if known is not None and known[0] is record.plan:
            return known[1]
        text = await asyncio.to_thread(self._text, record.plan, record.started_at)
        shown = await show(self._writer(), ledger.home, text)
        self._known[uid] = (record.plan, shown)
        return shown

    def forget(self, uid: str) -> None:
        """Nothing more is told of an object's plan."""
        self._known.pop(uid, None)
