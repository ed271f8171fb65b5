"""The matchConditions of a webhook: CEL over a SubjectAccessReview's spec. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from shipkeeper.access.attributes import Attributes, SelectorTerm

# What the server declares; it compiles against it, and knows no other field.
_FIELDS = {
    "request": {"resourceAttributes", "nonResourceAttributes", "user", "groups", "extra", "uid"},
    "resourceAttributes": {
        "namespace",
        "verb",
        "group",
        "version",
        "resource",
        "subresource",
        "name",
        "fieldSelector",
        "labelSelector",
    },
    "nonResourceAttributes": {"path", "verb"},
    "fieldSelector": {"rawSelector", "requirements"},
    "labelSelector": {"rawSelector", "requirements"},
}
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_SELECTION = re.compile(r"\b(\w+)\s*\.\s*\??\s*(\w+)\b(?!\s*\()")


class Matched(msgspec.Struct, frozen=True):
    """Whether all conditions hold; an error only counts if none of them is false."""

    matches: bool
    error: str = ""


def check_condition(expression: str) -> str:
    """Why an expression is none that a server takes; empty if it is fine."""
    if not expression.strip():
        return "a matchCondition has no expression"
    try:
        compiled = _compile(expression)
    except ValueError as error:
        return f"matchCondition {expression!r}: {error}"
    if compiled.return_type().name() != "BOOL":
        return f"matchCondition {expression!r} must be a bool"
    for holder, field in _SELECTION.findall(_LITERAL.sub("''", expression)):
        if holder in _FIELDS and field not in _FIELDS[holder]:
            return f"matchCondition {expression!r}: there is no field {holder}.{field}"
    return ""


def match(expressions: Iterable[str], asked: Attributes) -> Matched:
    """Whether a webhook with these conditions is asked."""
    # None at all is the usual case, and costs nothing.
    conditions = tuple(expressions)
    if not conditions:
        return Matched(True)
    request = {"request": _request(asked)}
    errors: list[str] = []
    for expression in conditions:
        # Each value comes with its type; an error is a value, too.
        result: Any = _compile(expression).eval(data=request)
        if result.type().name() != "BOOL":
            errors.append(f"expression '{expression}' resulted in error: {result.value()}")
        elif not result.value():
            return Matched(False)
    return Matched(not errors, "; ".join(errors))


@lru_cache(maxsize=1024)
def _compile(expression: str) -> Any:
    try:
        return _environment().compile(expression)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from error


@lru_cache(maxsize=1)
def _environment() -> Any:
    # Here and not above: it is only needed where a webhook has conditions.
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

    types: Any = cel.Type
    return cel.NewEnv(
        variables={"request": types.Map(types.STRING, types.DYN)},
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_bindings.ExtBindings(),
        ],
    )


def _request(asked: Attributes) -> dict[str, Any]:
    """The spec as conditions see it: every string is there, even an empty one."""
    user = asked.user
    spec: dict[str, Any] = {
        "user": user.name,
        "groups": list(user.groups),
        "uid": user.uid,
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    if not asked.resource_request:
        spec["nonResourceAttributes"] = {"path": asked.path, "verb": asked.verb}
        return spec
    attributes: dict[str, Any] = {
        "namespace": asked.namespace,
        "verb": asked.verb,
        "group": asked.group,
        "version": asked.version,
        "resource": asked.resource,
        "subresource": asked.subresource,
        "name": asked.name,
    }
    for key, terms in (("fieldSelector", asked.fields), ("labelSelector", asked.labels)):
        if terms:
            attributes[key] = {"requirements": [_requirement(term) for term in terms]}
    spec["resourceAttributes"] = attributes
    return spec


def _requirement(term: SelectorTerm) -> dict[str, Any]:
    return {"key": term.key, "operator": term.operator, "values": list(term.values)}
