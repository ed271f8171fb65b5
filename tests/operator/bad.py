"""Specs that make no sense, made from one that does: each field of it is spoilt in turn."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec

from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import Kind

# What is wrong for values of each type; a pattern, a list or a limit is met by none of them.
_NONSENSE: dict[str, tuple[Any, ...]] = {
    "string": (7, True, ["x"], {"x": "y"}),
    "integer": ("x", -1, 1.5, 10**12, [1]),
    "boolean": ("yes", 1, {}),
    "object": ("x", 3, ["x"]),
    "array": ("x", 3, {"x": "y"}),
}
_UNPATTERNED = (
    "",
    "§",
    " ",
    "a\nb",
    "-x-/",
    "x" * 5000,
    "x y",
    "..",
    "%",
    "\t",
    "日本",
    "#x",
    "x;y",
)


class Bad(msgspec.Struct, frozen=True):
    """A spec, and the field that it is refused for; empty for a rule over several fields."""

    spec: dict[str, Any]
    field: str


def spoilt(kind: Kind[Any], goods: tuple[dict[str, Any], ...]) -> Iterator[Bad]:
    """Every way in which a single field of a good spec can be wrong.

    It is spoilt in the first of them that has the object which it belongs to.
    """
    root = kind.definition(Version(1, 37, 2))["spec"]["versions"][0]["schema"]
    schema = root["openAPIV3Schema"]["properties"]["spec"]
    for path, field in _fields(schema, ()):
        good = next((each for each in goods if _at(each, path[:-1]) is not None), goods[0])
        for value in _bad_values(field):
            yield Bad(_with(good, path, value), ".".join(("spec", *path)))
    for path, names in _required(schema, ()):
        for name in names:
            good = next((each for each in goods if name in (_at(each, path) or {})), None)
            if good is not None:
                yield Bad(_without(good, (*path, name)), ".".join(("spec", *path, name)))


def _fields(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in schema.get("properties", {}).items():
        yield (*path, name), field
        yield from _fields(field, (*path, name))


def _required(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    if "required" in schema:
        yield path, schema["required"]
    for name, field in schema.get("properties", {}).items():
        yield from _required(field, (*path, name))


def _bad_values(field: Any) -> Iterator[Any]:
    if field.get("x-kubernetes-int-or-string"):
        yield from (0, -1, "0%", "101%", "many", True, [1])
        return
    yield from _NONSENSE[field["type"]]
    if "enum" in field:
        yield from ("nonsense", "")
    elif field["type"] == "string" and any(
        "matches" in each["rule"] for each in field.get("x-kubernetes-validations", ())
    ):
        yield from _UNPATTERNED
    elif field["type"] == "string":
        yield "x" * 5000
    if field["type"] == "array":
        yield ["x"] * (field["maxItems"] + 1)
        yield [{"x": "y"}]


def _with(good: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(good)
    holder = spec
    for name in path[:-1]:
        holder = holder.setdefault(name, {})
    holder[path[-1]] = value
    return spec


def _without(good: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    spec = copy.deepcopy(good)
    del _at(spec, path[:-1])[path[-1]]
    return spec


def _at(spec: dict[str, Any], path: tuple[str, ...]) -> Any:
    holder: Any = spec
    for name in path:
        holder = holder.get(name) if holder else None
    return holder
