"""Flags back into words: the command line that gives them again."""

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

from cyclopts import Parameter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def spelled(*groups: "DataclassInstance") -> tuple[str, ...]:
    """The words for groups of flags, in their order; what is as by default is left out."""
    return tuple(word for group in groups for word in _words(group))


def _words(group: "DataclassInstance") -> list[str]:
    hints = get_type_hints(type(group), include_extras=True)
    words: list[str] = []
    for field in fields(group):
        value: Any = getattr(group, field.name)
        if field.default is MISSING or value == field.default:
            continue
        flag = _flag(field.name, hints[field.name])
        if value is True:
            words.append(flag)
        elif isinstance(value, tuple):
            words += [f"{flag}={each}" for each in cast("tuple[object, ...]", value)]
        else:
            words.append(f"{flag}={value}")
    return words


def _flag(name: str, hint: object) -> str:
    """The long name that its Parameter gives it, else the field's own."""
    for each in get_args(hint):
        if isinstance(each, Parameter) and each.name:
            return next(word for word in each.name if word.startswith("--"))
    return "--" + name.rstrip("_").replace("_", "-")
