"""Label selectors: the structured form of objects and the string form of `-l`."""

import re

from shipkeeper.errors import UsageError
from shipkeeper.model.base import KubeStruct

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SET_TERM = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL_TERM = re.compile(r"^(?P<key>[^=!\s]+)\s*(?P<operator>==|=|!=)\s*(?P<value>\S*)$")


class Requirement(KubeStruct, frozen=True, kw_only=True):
    """One condition on labels; operator is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether labels satisfy it; NotIn is also satisfied by a missing key."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values and self.key in labels
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
            case _:
                return False


class LabelSelector(KubeStruct, frozen=True, kw_only=True):
    """A selector as objects carry it; an empty one matches everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it sets no condition at all."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether labels satisfy every condition."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


def parse_selector(text: str) -> LabelSelector:
    """Read kubectl's selector grammar (`a=b,c!=d,e in (f,g),!h,i`).

    Raises UsageError naming the term that is wrong.
    """
    return LabelSelector(match_expressions=tuple(_parse_term(term) for term in _terms(text)))


def _terms(text: str) -> list[str]:
    """Split at the commas that stand outside of parentheses."""
    return [term.strip() for term in re.split(r",(?![^()]*\))", text)] if text.strip() else []


def _parse_term(term: str) -> Requirement:
    if found := _SET_TERM.match(term):
        values = tuple(sorted(value.strip() for value in found["values"].split(",")))
        operator = "In" if found["operator"] == "in" else "NotIn"
        return _checked(term, found["key"], operator, values)
    if found := _EQUAL_TERM.match(term):
        operator = "NotIn" if found["operator"] == "!=" else "In"
        return _checked(term, found["key"], operator, (found["value"],))
    if term.startswith("!"):
        return _checked(term, term[1:].strip(), "DoesNotExist", ())
    return _checked(term, term, "Exists", ())


def _checked(term: str, key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    if not is_label_key(key):
        raise _bad(term, f"{key!r} is not a valid label key")
    for value in values:
        if not is_label_value(value):
            raise _bad(term, f"{value!r} is not a valid label value")
    return Requirement(key=key, operator=operator, values=values)


def is_label_key(key: str) -> bool:
    """Whether a label may have this key: a name, maybe after a DNS subdomain and a slash."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return False
    return bool(_NAME.fullmatch(name))


def is_label_value(value: str) -> bool:
    """Whether a label may have this value."""
    return not value or bool(_NAME.fullmatch(value))


def _bad(term: str, why: str) -> UsageError:
    return UsageError(
        f"cannot read the label selector at {term!r}: {why}",
        reason="InvalidSelector",
        hint="write it as kubectl does, for example 'app=web,tier in (a,b),!canary'",
    )
