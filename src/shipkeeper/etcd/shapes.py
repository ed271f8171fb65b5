"""How Kubernetes' built-in types look, in protobuf and in JSON, for each minor version.

`kubernetes_types.json` is written by tools/kubernetes-types from the Go structs of k8s.io/api and
its siblings. Its `rows` are types: fields of number, JSON name (empty: inlined), when it is left
out (`e` when empty, `z` when zero), and kind. A kind is a letter or begins with one:

    s b i f  string, bool, integer, float64   y  bytes (base64)
    @NAME    a message                        *  a pointer to, [ a list of, { a map by string to
    L        a message around a list          T U D F Q I R J A B S  as `objects` writes them
"""

from functools import cache
from pathlib import Path
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
    """What is not decoded yet is not asked for yet: one object needs a thousandth of it."""

    rows: list[msgspec.Raw]
    minors: dict[str, msgspec.Raw]


class Shapes:
    """The types of one minor version; kinds that it lacks are as the nearest has them."""

    def __init__(self, minor: int) -> None:
        wanted = min(max(minor, OLDEST), NEWEST)
        self._order = sorted(_table().minors, key=lambda each: abs(_minor(each) - wanted))

    def root(self, api_version: str, kind: str) -> tuple["Types", str] | None:
        """The types to read a kind by, and the name of its own; None if it is no built-in kind."""
        for version in self._order:
            minor = _types_of(version)
            name = minor.kinds.get(f"{api_version}/{kind}")
            if name:
                return Types(minor.types), name
        return None


class Types:
    """The types of one minor version by their names."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers

    def fields(self, name: str) -> tuple[Field, ...]:
        """The fields of a type."""
        return _fields(self._numbers[name])


def _minor(version: str) -> int:
    return int(version.partition(".")[0])


@cache
def _table() -> _Table:
    # importlib.resources would take longer to import than this to read.
    data = Path(__file__).with_name("kubernetes_types.json").read_bytes()
    return msgspec.json.decode(data, type=_Table)


@cache
def _types_of(version: str) -> _Minor:
    return msgspec.json.decode(_table().minors[version], type=_Minor)


@cache
def _fields(number: int) -> tuple[Field, ...]:
    return msgspec.json.decode(_table().rows[number], type=tuple[Field, ...])
