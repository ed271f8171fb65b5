"""Choosing among the rows of the inventory: what a search box understands, and orders; pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache

import msgspec

from shipkeeper.engine.verdict import Effect
from shipkeeper.errors import UsageError
from shipkeeper.nodes.inventory import NodeRow

_DIGITS = re.compile(r"(\d+)")


class Fitness(StrEnum):
    """What to think of a node, the worst first."""

    DOWN = "down"
    BLOCKED = "blocked"
    WAITING = "waiting"
    CORDONED = "cordoned"
    READY = "ready"


class FleetRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the inventory with what it is found and sorted by."""

    row: NodeRow
    pool: str
    fitness: Fitness
    text: str


def fleet_row(row: NodeRow, pool: str) -> FleetRow:
    """Look at a row."""
    parts = (
        row.name,
        row.zone,
        pool,
        row.status,
        row.kubelet_version,
        row.kernel_version,
        row.os_image,
        row.container_runtime_version,
        row.internal_ip,
        *row.roles,
        *(each.reason for each in row.obstacles),
    )
    return FleetRow(row=row, pool=pool, fitness=fitness_of(row), text=" ".join(parts).casefold())


def fitness_of(row: NodeRow) -> Fitness:
    """Down before blocked before waiting before cordoned before ready."""
    if not row.status.startswith("Ready"):
        return Fitness.DOWN
    effects = {each.effect for each in row.obstacles}
    if Effect.BLOCK in effects:
        return Fitness.BLOCKED
    if row.unschedulable:
        return Fitness.CORDONED
    return Fitness.WAITING if Effect.WAIT in effects else Fitness.READY


Matches = Callable[[FleetRow], bool]


def parse_filter(text: str) -> Matches:
    """What a search box means: every word must be found, `zone:a`, `is:blocked`, `-word` for not.

    UsageError for a key that is not known.
    """
    wanted = [_word(word) for word in text.casefold().split()]
    return lambda row: all(each(row) for each in wanted)


def _word(word: str) -> Matches:
    if word.startswith("-") and len(word) > 1:
        unwanted = _word(word[1:])
        return lambda row: not unwanted(row)
    key, colon, value = word.partition(":")
    if not colon or key not in _KEYS:
        if colon and key.isalpha() and value and not value.startswith("/"):
            raise UsageError(
                f"{key}: is nothing to filter nodes by",
                reason="UnknownFilter",
                hint=f"there are: {', '.join(f'{each}:' for each in _KEYS)}",
            )
        return lambda row: word in row.text
    return _KEYS[key](value)


def _is(value: str) -> Matches:
    if value == "cordoned":
        return lambda row: row.row.unschedulable
    return lambda row: row.fitness == value


_KEYS: dict[str, Callable[[str], Matches]] = {
    "is": _is,
    "zone": lambda value: lambda row: row.row.zone.casefold() == value,
    "pool": lambda value: lambda row: row.pool.casefold() == value,
    "version": lambda value: lambda row: value in row.row.kubelet_version.casefold(),
    "kernel": lambda value: lambda row: value in row.row.kernel_version.casefold(),
    "reason": lambda value: (
        lambda row: any(value == each.reason.casefold() for each in row.row.obstacles)
    ),
}

_Key = Callable[[FleetRow], tuple[object, ...]]
_ORDERS: dict[str, _Key] = {
    "name": lambda row: (),
    "fitness": lambda row: (list(Fitness).index(row.fitness),),
    "zone": lambda row: (row.row.zone,),
    "pool": lambda row: (row.pool,),
    "version": lambda row: natural(row.row.kubelet_version),
    "kernel": lambda row: natural(row.row.kernel_version),
    "pods": lambda row: (row.row.pods,),
    "obstacles": lambda row: (len(row.row.obstacles),),
    "age": lambda row: (row.row.creation_timestamp is None, row.row.creation_timestamp),
}
ORDERS = tuple(_ORDERS)


def arranged(rows: Iterable[FleetRow], order: str) -> Sequence[FleetRow]:
    """Rows by one of ORDERS, with `-` before it the other way round, and then by name.

    UsageError for anything else.
    """
    name = order.removeprefix("-")
    if name not in _ORDERS:
        raise UsageError(
            f"nodes cannot be sorted by {name!r}",
            reason="UnknownOrder",
            hint=f"there are: {', '.join(_ORDERS)}",
        )
    by_name = sorted(rows, key=lambda row: natural(row.row.name))
    if name == "name":
        return by_name[::-1] if order.startswith("-") else by_name
    return sorted(by_name, key=_ORDERS[name], reverse=order.startswith("-"))


@lru_cache(maxsize=20_000)
def natural(text: str) -> tuple[object, ...]:
    """A key that puts node-2 before node-10."""
    parts = _DIGITS.split(text)
    return tuple((int(p), "") if p.isdecimal() else (-1, p) for p in parts if p)
