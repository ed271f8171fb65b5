"""The order in which nodes are offered to the planner, and how many of them at a time. Pure.

Nodes come in groups, one after the other: first the canaries, then the rest zone by zone or label
by label if so asked, in the natural order of their names, the control plane last, and after it
only what must be last of all. The planner makes waves within a group and begins the next one when
all nodes of a group are done.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.node import ZONE_LABEL, Node
from shipkeeper.model.selector import parse_selector
from shipkeeper.model.words import counted

_SELECTOR_SIGNS = frozenset("=!(), ")


class OrderKey(msgspec.Struct, frozen=True, kw_only=True):
    """A label whose values are taken one after the other: first those of `values`, then the rest.

    Nodes without the label come last.
    """

    key: str
    values: tuple[str, ...] = ()

    @property
    def noun(self) -> str:
        """What its values are called."""
        return "zone" if self.key == ZONE_LABEL else self.key

    def value_of(self, node: Node) -> str | None:
        """A node's value, None without the label."""
        return node.metadata.labels.get(self.key)


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes that go first and alone: so many, those of these names, those of a selector."""

    count: int = 0
    names: tuple[str, ...] = ()
    selector: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are ordered.

    `growth` is by how much more nodes may go together than did before (2 gives 1, 2, 4 …, and 1
    gives 1, 2, 3 …), 0 for no such limit; `at_most` is the most nodes at a time, 0 if only the
    planner's limits count. `last` are nodes that go after all others.
    """

    canary: Canary = Canary()
    growth: float = 0.0
    at_most: int = 0
    by: tuple[OrderKey, ...] = ()
    last: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that may be done in any order the planner likes, before those of the next group.

    `max_at_once` is how many of them may be out of service together, 0 for no limit of its own.
    """

    name: str
    reason: str
    nodes: tuple[str, ...]
    max_at_once: int = 0


def arrange(nodes: Iterable[Node], order: Order) -> tuple[Group, ...]:
    """Every node in exactly one group; the same nodes give the same groups, however they came.

    Raises UsageError if the canary names a node that is not among them.
    """
    everybody = sorted(nodes, key=_place(order))
    ordered = [node for node in everybody if node.name not in order.last]
    canaries = _canaries(ordered, order.canary)
    chosen = {node.name for node in canaries}
    rest = [node for node in ordered if node.name not in chosen]
    steps = _Steps(order)
    groups = list(steps.canary(canaries))
    workers = [node for node in rest if not node.is_control_plane]
    for labels, found in groupby(workers, lambda node: _values(node, order.by)):
        groups += steps.of(_title(labels, order.by), tuple(node.name for node in found))
    last = tuple(node.name for node in everybody if node.name in order.last)
    return (*groups, *_control_plane(rest), *_last(last))


def parse_canary(texts: Iterable[str]) -> Canary:
    """Read `--canary` values: a number, a node's name, or a label selector (`tier=canary`).

    A node whose name is a number can be chosen by its label kubernetes.io/hostname. Raises
    UsageError.
    """
    count, names, selectors = 0, list[str](), list[str]()
    for text in (each.strip() for each in texts):
        if text.isdigit():
            count += int(text)
        elif _SELECTOR_SIGNS.intersection(text):
            parse_selector(text)
            selectors.append(text)
        elif text:
            names.append(text)
    if len(selectors) > 1:
        raise _bad("there can be one canary selector only", f"join them: {','.join(selectors)}")
    return Canary(count=count, names=tuple(names), selector=selectors[0] if selectors else "")


def parse_order_by(text: str) -> OrderKey:
    """Read an `--order-by` value: `zone`, a label, or a label and its values in their order.

    For example `env=dev,staging,prod`. Raises UsageError.
    """
    key, equals, values = text.strip().partition("=")
    listed = tuple(value.strip() for value in values.split(",") if value.strip())
    if not key or (equals and not listed):
        raise _bad(f"{text!r} is not an order", "write zone, a label, or env=dev,staging,prod")
    parse_selector(f"{key} in ({','.join(listed)})" if listed else key)
    return OrderKey(key=ZONE_LABEL if key == "zone" else key, values=listed)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names as people do: node-2 before node-10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


class _Steps:
    """Cuts nodes into groups, each at most so much larger than the largest one before it."""

    def __init__(self, order: Order) -> None:
        self._growth = order.growth
        self._at_most = order.at_most
        self._largest = 0
        self._steps = 0

    def canary(self, nodes: Sequence[Node]) -> Iterator[Group]:
        """The canaries: workers together, the control plane's one by one."""
        workers = tuple(node.name for node in nodes if not node.is_control_plane)
        if workers:
            yield Group(
                name="canary",
                reason="goes first; nothing else is begun before it is done",
                nodes=workers,
                max_at_once=self._at_once(workers),
            )
        planes = tuple(node.name for node in nodes if node.is_control_plane)
        if planes:
            yield Group(
                name="canary of the control plane",
                reason="goes first, one node at a time",
                nodes=planes,
                max_at_once=1,
            )

    def of(self, title: str, names: tuple[str, ...]) -> Iterator[Group]:
        """The groups of one zone, one label value, or (without a title) all that is left."""
        while names:
            step = self._step() or len(names)
            taken, names = names[:step], names[step:]
            yield self._group(title, taken)
            self._at_once(taken)

    def _group(self, title: str, taken: tuple[str, ...]) -> Group:
        if not self._step():
            return Group(
                name=title or "the rest",
                reason="by itself" if title else "all that is left",
                nodes=taken,
                max_at_once=self._at_most,
            )
        self._steps += 1
        step = f"step {self._steps}"
        before = f"{self._largest} together went well before" if self._largest else "begins small"
        return Group(
            name=f"{title}, {step}" if title else step,
            reason=f"{counted(len(taken), 'node')}: {before}",
            nodes=taken,
            max_at_once=len(taken),
        )

    def _step(self) -> int:
        """How many nodes may go together next; 0 once growth limits nothing any more."""
        if not self._growth:
            return 0
        grown = max(int(self._largest * self._growth), self._largest + 1)
        return 0 if self._at_most and grown >= self._at_most else grown

    def _at_once(self, names: tuple[str, ...]) -> int:
        """How many of these go together, which is remembered."""
        together = min(len(names), self._at_most) if self._at_most else len(names)
        self._largest = max(self._largest, together)
        return together


def _canaries(ordered: Sequence[Node], canary: Canary) -> list[Node]:
    known = {node.name for node in ordered}
    if missing := [name for name in canary.names if name not in known]:
        raise _bad(
            f"the canary {', '.join(missing)} is not among the nodes of this maintenance",
            "add it to the nodes, or choose another canary",
        )
    chosen = set(canary.names)
    if canary.selector:
        selector = parse_selector(canary.selector)
        found = {node.name for node in ordered if selector.matches(node.metadata.labels)}
        if not found:
            raise _bad(
                f"the canary selector {canary.selector!r} matches none of the nodes",
                f"label one: kubectl label node NAME {canary.selector}",
            )
        chosen |= found
    others = [node.name for node in ordered if node.name not in chosen]
    chosen.update(others[: canary.count])
    return [node for node in ordered if node.name in chosen]


def _control_plane(rest: Sequence[Node]) -> Iterator[Group]:
    names = tuple(node.name for node in rest if node.is_control_plane)
    if names:
        yield Group(
            name="control plane",
            reason="goes last, one at a time: the others keep quorum",
            nodes=names,
            max_at_once=1,
        )


def _last(names: tuple[str, ...]) -> Iterator[Group]:
    if names:
        yield Group(
            name="last of all",
            reason="what carries this out runs there, and goes on elsewhere",
            nodes=names,
            max_at_once=1,
        )


def _place(order: Order) -> Callable[[Node], tuple[object, ...]]:
    """The key that nodes are sorted by."""

    def place(node: Node) -> tuple[object, ...]:
        ranks = tuple(_rank(key, node) for key in order.by)
        return (node.is_control_plane, ranks, natural(node.name))

    return place


def _rank(key: OrderKey, node: Node) -> tuple[object, ...]:
    value = key.value_of(node)
    if value is None:
        return (2, 0, ())
    if value in key.values:
        return (0, key.values.index(value), ())
    return (1, 0, natural(value))


def _values(node: Node, by: tuple[OrderKey, ...]) -> tuple[str | None, ...]:
    return tuple(key.value_of(node) for key in by)


def _title(values: tuple[str | None, ...], by: tuple[OrderKey, ...]) -> str:
    named = (
        f"no {key.noun}" if value is None else f"{key.noun} {value}".rstrip()
        for key, value in zip(by, values, strict=True)
    )
    return ", ".join(named)


def _bad(message: str, hint: str) -> UsageError:
    return UsageError(message, reason="InvalidOrder", hint=hint)
