"""Stored objects as the API server shows them: out of protobuf or JSON into JSON's values. Pure.

Sources: kubernetes/apimachinery, pkg/runtime/serializer/protobuf (the envelope) and the MarshalJSON
of the types that have one of their own. What Go leaves out of JSON depends on the struct's tags,
which `shapes` knows.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec

from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.shapes import Field, Shapes, Types
from shipkeeper.etcd.wire import BYTES, WireError, double, fields, read_varint, signed

MAGIC: Final = b"k8s\0"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEPTH: Final = 200
_STRUCTS: Final = "@TUDQIRJFAB"

_UNREADABLE: Final = (
    *(WireError, msgspec.MsgspecError, TypeError, AttributeError, KeyError),
    *(UnicodeDecodeError, OverflowError, RecursionError),
)

# What the API server makes of an empty phase as it reads (pkg/apis/core/v1/defaults.go).
_FIRST_PHASES: Final = {
    "Namespace": "Active",
    "PersistentVolume": "Pending",
    "PersistentVolumeClaim": "Pending",
}

Values = dict[int, list[Any]]


class ObjectError(EtcdError):
    """A stored value is no object that could be shown."""


class TypeMeta(msgspec.Struct, frozen=True, rename="camel"):
    """What kind of object a value is."""

    api_version: str = ""
    kind: str = ""


def decode_object(value: bytes, shapes: Callable[[], Shapes], revision: int) -> dict[str, Any]:
    """The object in a stored value, which was last written at a revision; ObjectError if none.

    `shapes` are asked for if it is stored as protobuf.
    """
    try:
        if value.startswith(MAGIC):
            shown = _from_protobuf(value[len(MAGIC) :], shapes())
        else:
            shown = msgspec.json.decode(value, type=dict[str, Any])
    except _UNREADABLE as error:
        raise ObjectError(
            f"the value is no object: {error}",
            reason="NoObject",
            hint="see whether it is encrypted, or no object of Kubernetes",
        ) from error
    metadata = shown.get("metadata")
    if isinstance(metadata, dict):
        metadata = cast("dict[str, Any]", metadata)
        metadata["resourceVersion"] = str(revision)
    return _with_phase(shown)


def _with_phase(shown: dict[str, Any]) -> dict[str, Any]:
    phase = _FIRST_PHASES.get(str(shown.get("kind"))) if shown.get("apiVersion") == "v1" else None
    status = shown.get("status")
    if phase is None or not isinstance(status, dict) or "phase" in status:
        return shown
    return {**shown, "status": {"phase": phase, **cast("dict[str, Any]", status)}}


def type_of(value: bytes) -> TypeMeta:
    """The API version and kind of a stored value; empty when it tells of none."""
    try:
        if value.startswith(MAGIC):
            return _type_meta(_collect(value[len(MAGIC) :]))
        return msgspec.json.decode(value, type=TypeMeta)
    except (WireError, msgspec.MsgspecError, UnicodeDecodeError):
        return TypeMeta()


def _type_meta(envelope: Values) -> TypeMeta:
    meta = _collect(_last(envelope, 1, b""))
    return TypeMeta(_last(meta, 1, b"").decode(), _last(meta, 2, b"").decode())


def _from_protobuf(data: bytes, shapes: Shapes) -> dict[str, Any]:
    envelope = _collect(data)
    meta = _type_meta(envelope)
    raw = _last(envelope, 2, b"")
    if _last(envelope, 4, b"") == b"application/json":
        return msgspec.json.decode(raw, type=dict[str, Any])
    found = shapes.root(meta.api_version, meta.kind)
    if found is None:
        raise ObjectError(
            f"{meta.api_version} {meta.kind} is no kind that shipkeeper knows",
            reason="UnknownKind",
            hint="a newer shipkeeper may know it",
        )
    types, name = found
    shown = _Reader(types).message(name, raw, 0)
    return {"apiVersion": meta.api_version, "kind": meta.kind, **shown}


def _collect(data: bytes) -> Values:
    found: Values = {}
    for number, kind, value in fields(data):
        found.setdefault(number, []).append((kind, value))
    return found


def _last(values: Values, number: int, default: Any) -> Any:
    return values[number][-1][1] if number in values else default


class _Reader:
    """Reads messages by their types."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def message(self, name: str, data: bytes, depth: int) -> dict[str, Any]:
        if depth > _DEPTH:
            raise WireError("messages are nested too deep")
        values = _collect(data)
        shown: dict[str, Any] = {}
        for field in self._types.fields(name):
            value = self.field(field.kind, values.get(field.number, ()), depth + 1)
            if not field.name:
                shown.update(value or {})
            elif not _is_left_out(value, field):
                shown[field.name] = value
        return shown

    def field(self, kind: str, given: Any, depth: int) -> Any:
        """The value of a field of which so many were given, as (wire type, value)."""
        head, rest = kind[0], kind[1:]
        if head == "*":
            return self.field(rest, given, depth) if given else None
        if head == "[":
            return self._list(rest, given, depth) if given else None
        if head == "{":
            return self._map(rest, given, depth) if given else None
        return self.one(kind, given[-1][1] if given else None, depth)

    def _list(self, kind: str, given: Any, depth: int) -> list[Any]:
        if kind == "i":
            return [number for each in given for number in _numbers(*each)]
        return [self.one(kind, value, depth) for _, value in given]

    def _map(self, kind: str, given: Any, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for _, data in given:
            entry = _collect(data)
            shown[_last(entry, 1, b"").decode()] = self.field(kind, entry.get(2, ()), depth)
        return shown

    def one(self, kind: str, value: Any, depth: int) -> Any:
        """One value, None if it was not given."""
        head, rest = kind[0], kind[1:]
        if head == "@":
            return self.message(rest, value or b"", depth)
        if head == "L":
            values = _collect(value or b"")
            return self._list(rest[1:], values.get(1, ()), depth)
        if head == "A":
            return self._schemas(rest, value, depth)
        if head == "B":
            return self._schema_or_bool(rest, value, depth)
        return _SCALARS[head](value)

    def _schemas(self, name: str, value: bytes | None, depth: int) -> Any:
        values = _collect(value or b"")
        if 2 in values:
            return [self.message(name, each, depth) for _, each in values[2]]
        return self.message(name, _last(values, 1, b""), depth) if 1 in values else None

    def _schema_or_bool(self, name: str, value: bytes | None, depth: int) -> Any:
        values = _collect(value or b"")
        if 2 in values:
            return self.message(name, _last(values, 2, b""), depth)
        return bool(_last(values, 1, 0))


def _is_left_out(value: Any, field: Field) -> bool:
    """What Go's encoder leaves out: empty values, but no structs; zero values, structs as well."""
    head = field.kind[0]
    if head == "*":
        return bool(field.omit) and value is None
    if "e" in field.omit and head not in _STRUCTS and not value:
        return True
    return "z" in field.omit and _is_zero(value)


def _is_zero(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_zero(each) for each in cast("dict[str, Any]", value).values())
    return not value


def _numbers(kind: int, value: Any) -> list[int]:
    if kind != BYTES:
        return [signed(value)]
    found: list[int] = []
    at = 0
    while at < len(value):
        number, at = read_varint(value, at)
        found.append(signed(number))
    return found


def _time(value: bytes | None) -> str | None:
    moment = _moment(value)
    return moment[0].strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _micro_time(value: bytes | None) -> str | None:
    moment = _moment(value)
    return f"{moment[0]:%Y-%m-%dT%H:%M:%S}.{moment[1] // 1000:06d}Z" if moment else None


def _moment(value: bytes | None) -> tuple[datetime, int] | None:
    values = _collect(value or b"")
    seconds, nanos = signed(_last(values, 1, 0)), signed(_last(values, 2, 0))
    return (_EPOCH + timedelta(seconds=seconds), nanos) if seconds or nanos else None


def _text_in(value: bytes | None) -> str:
    return _last(_collect(value or b""), 1, b"").decode()


def _raw_json(value: bytes | None) -> Any:
    raw = _last(_collect(value or b""), 1, b"")
    return msgspec.json.decode(raw) if raw else None


def _int_or_string(value: bytes | None) -> int | str:
    values = _collect(value or b"")
    if _last(values, 1, 0) == 1:
        return _last(values, 3, b"").decode()
    return signed(_last(values, 2, 0))


def _strings(value: bytes | None) -> Any:
    """apiextensions' JSONSchemaPropsOrStringArray, of which only the list is read."""
    return [each.decode() for _, each in _collect(value or b"").get(2, ())]


def _duration(value: bytes | None) -> str:
    return go_duration(signed(_last(_collect(value or b""), 1, 0)))


def go_duration(nanoseconds: int) -> str:
    """A duration as Go writes it: `1h30m0s`, `1.5s`, `20ms`."""
    if not nanoseconds:
        return "0s"
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if left >= size:
                return f"{sign}{_decimal(left, size)}{unit}"
    minutes, rest = divmod(left, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{before}{_decimal(rest, 1_000_000_000)}s"


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = str(part).rjust(len(str(unit)) - 1, "0").rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def _float(value: bytes | None) -> float | int:
    number = double(value) if value else 0.0
    return int(number) if number.is_integer() else number


def _string(value: bytes | None) -> str:
    return (value or b"").decode()


def _integer(value: int | None) -> int:
    return signed(value or 0)


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _quantity(value: bytes | None) -> str:
    return _text_in(value) or "0"


_SCALARS: Final = cast(
    "dict[str, Callable[[Any], Any]]",
    {
        "s": _string,
        "b": bool,
        "i": _integer,
        "f": _float,
        "y": _base64,
        "T": _time,
        "U": _micro_time,
        "D": _duration,
        "F": _raw_json,
        "J": _raw_json,
        "R": _raw_json,
        "Q": _quantity,
        "I": _int_or_string,
        "S": _strings,
    },
)
