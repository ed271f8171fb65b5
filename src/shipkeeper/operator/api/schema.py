"""The structural OpenAPI schema of a struct: written once, as the struct that reads the object."""

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any, cast

import msgspec
from msgspec import inspect

from shipkeeper.operator.api.fields import Rule

Schema = dict[str, Any]


def schema_of(type_: type[msgspec.Struct], *, with_rules: bool) -> Schema:
    """The schema of a struct; rules, and what they say, only for servers that evaluate CEL.

    A struct's own rules are in its attribute `RULES`. Defaults that say anything are the server's
    to fill in, so that whoever reads an object sees them.
    """
    return _Reader(with_rules=with_rules).of(inspect.type_info(type_))


def validations(rules: Iterable[Rule]) -> Schema:
    """Rules as a schema has them."""
    found = [{"rule": each.rule, "message": each.message} for each in rules]
    return {"x-kubernetes-validations": found} if found else {}


class _Reader:
    def __init__(self, *, with_rules: bool) -> None:
        self._with_rules = with_rules

    def of(self, type_: inspect.Type) -> Schema:
        match type_:
            case inspect.Metadata():
                # The package's own types do not say what is in them.
                metadata: Any = type_
                told: Schema = metadata.extra_json_schema or {}
                extra: Schema = metadata.extra or {}
                return self._with_metadata(self.of(type_.type), told, extra)
            case inspect.StructType():
                return self._struct(type_)
            case inspect.UnionType():
                return self._union(type_)
            case inspect.VarTupleType():
                return self._array(type_)
            case inspect.DictType():
                return {"type": "object", "additionalProperties": self.of(type_.value_type)}
            case inspect.AnyType():
                return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            case _:
                return _scalar(type_)

    def _with_metadata(self, schema: Schema, told: Schema, extra: dict[str, Any]) -> Schema:
        rules = [*cast("Iterable[Rule]", extra.get("rules", ()))]
        if self._with_rules and "says" in extra:
            # The words say more than the pattern does, and both at once are too much.
            pattern = schema.pop("pattern").replace("\\", "\\\\").replace("'", "\\'")
            rules.append(Rule(f"self.matches('{pattern}')", extra["says"]))
        return {**told, **schema, **self._validations(rules)}

    def _validations(self, rules: Iterable[Rule]) -> Schema:
        return validations(rules) if self._with_rules else {}

    def _struct(self, type_: inspect.StructType) -> Schema:
        properties = {each.encode_name: self._field(each) for each in type_.fields}
        required = [each.encode_name for each in type_.fields if each.required]
        rules = cast("Iterable[Rule]", getattr(type_.cls, "RULES", ()))
        return {
            "type": "object",
            "description": cleandoc(type_.cls.__doc__ or ""),
            "properties": properties,
            **({"required": required} if required else {}),
            **self._validations(rules),
        }

    def _field(self, field: inspect.Field) -> Schema:
        schema = self.of(field.type)
        is_scalar = isinstance(field.default, bool | int | str)
        return {**schema, "default": field.default} if is_scalar and field.default else schema

    def _union(self, type_: inspect.UnionType) -> Schema:
        members = [each for each in type_.types if not isinstance(each, inspect.NoneType)]
        if len(members) == 1:
            return self.of(members[0])
        return {"x-kubernetes-int-or-string": True}

    def _array(self, type_: inspect.VarTupleType) -> Schema:
        limits = {"minItems": type_.min_length, "maxItems": type_.max_length}
        return {"type": "array", "items": self.of(type_.item_type), **_set(limits)}


def _scalar(type_: inspect.Type) -> Schema:
    match type_:
        case inspect.StrType():
            limits = {"minLength": type_.min_length, "maxLength": type_.max_length}
            return {"type": "string", **_set(limits), **_set({"pattern": type_.pattern})}
        case inspect.IntType():
            return {"type": "integer", **_set({"minimum": type_.ge, "maximum": type_.le})}
        case inspect.FloatType():
            return {"type": "number", **_set({"minimum": type_.ge, "maximum": type_.le})}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(type_.values)}
        case inspect.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case _:
            raise TypeError(f"a custom resource has no {type_}")


def _set(limits: Schema) -> Schema:
    return {key: value for key, value in limits.items() if value is not None}
