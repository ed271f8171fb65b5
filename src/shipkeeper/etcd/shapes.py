"""How Kubernetes' built-in types look, in protobuf and in JSON, for each minor version.

`kubernetes_types.json` is written by tools/kubernetes-types from the Go structs of k8s.io/api and
its siblings. Its `rows` are types: fields of number, JSON name (empty: inlined), when it is left
out (`e` when empty, `z` when zero), and kind. A kind is a letter or begins with one:

    s b i f  string, bool, integer, float64   y  bytes (base64)
    @NAME    a message                        *  a pointer to, [ a list of, { a map by string to
    L        a message around a list          T U D F Q I R J A B S  as `objects` writes them
"""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

NEWEST: Final = 37
OLDEST: Final = 20


class Field(msgspec.Struct, frozen=True, array_like=True):
    """A field of a type."""

    number: int
    name: str
    omit: str
    kind: str


class _Minor(msgspec.Struct, frozen=True):
    kinds: dict[str, str]
    types: dict[str, int]


class _Table(msgspec.Struct, frozen=True):
    rows: list[tuple[Field, ...]]
    minors: dict[str, _Minor]


class Shapes:
    """The types of one minor version; kinds that it lacks are as the nearest has them."""

    def __init__(self, minor: int) -> None:
        table = _table()
        self._rows = table.rows
        wanted = min(max(minor, OLDEST), NEWEST)
        order = sorted(table.minors, key=lambda each: abs(_minor(each) - wanted))
        self._minors = [table.minors[each] for each in order]

    def root(self, api_version: str, kind: str) -> tuple["Types", str] | None:
        """The types to read a kind by, and the name of its own; None if it is no built-in kind."""
        for minor in self._minors:
            name = minor.kinds.get(f"{api_version}/{kind}")
            if name:
                return Types(self._rows, minor.types), name
        return None


class Types:
    """The types of one minor version by their names."""

    def __init__(self, rows: list[tuple[Field, ...]], numbers: dict[str, int]) -> None:
        self._rows = rows
        self._numbers = numbers

    def fields(self, name: str) -> tuple[Field, ...]:
        """The fields of a type."""
        return self._rows[self._numbers[name]]


def _minor(version: str) -> int:
    return int(version.partition(".")[0])


@cache
def _table() -> _Table:
    data = (files("shipkeeper.etcd") / "kubernetes_types.json").read_bytes()
    return msgspec.json.decode(data, type=_Table)
