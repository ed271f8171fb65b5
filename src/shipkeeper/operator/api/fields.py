"""The kinds of values that specs are made of, each with its limits and the words that explain it.

A server that evaluates CEL tells the words; an older one only the pattern.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


class Rule(msgspec.Struct, frozen=True):
    """What must hold for a value (CEL, on `self`), and what is said if it does not."""

    rule: str
    message: str


def unchanged(*paths: str) -> str:
    """The rule that these fields, such as `self.objects`, are there or not as they were before."""
    both = ((path, f"oldSelf{path.removeprefix('self')}") for path in paths)
    return " && ".join(
        f"has({now}) == has({old}) && (!has({now}) || {now} == {old})" for now, old in both
    )


Duration = Annotated[
    str,
    Meta(
        pattern=r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$",
        max_length=32,
        extra={"says": "must be a duration such as 30s, 5m or 1h30m"},
    ),
]
Name = Annotated[
    str,
    Meta(
        pattern=rf"^{_SUBDOMAIN}$",
        max_length=253,
        extra={"says": "must be the name of an object: lower case letters, digits, - and ."},
    ),
]
NamespaceName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        extra={"says": "must be the name of a namespace: lower case letters, digits and -"},
    ),
]
LabelKey = Annotated[
    str,
    Meta(
        pattern=rf"^({_SUBDOMAIN}/)?{_LABEL}$",
        max_length=317,
        extra={"says": "must be a label's key such as topology.kubernetes.io/zone"},
    ),
]
Cap = Annotated[
    int | str,
    Meta(
        extra={
            "rules": (
                Rule(
                    "type(self) == int ? self >= 1 : "
                    "string(self).matches('^([1-9][0-9]?|100)%$|^[1-9][0-9]*$')",
                    "must be a number of nodes from 1, or a percentage from 1% to 100%",
                ),
            )
        }
    ),
]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]
Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/]+(/\S*)?$",
        max_length=2048,
        extra={"says": "must be a URL that begins with http:// or https://"},
    ),
]
Cron = Annotated[
    str,
    Meta(
        pattern=r"^\s*\S+(\s+\S+){4}\s*$",
        max_length=128,
        extra={"says": "must be a cron expression of five fields, such as '0 22 * * sat'"},
    ),
]
Zone = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
        max_length=64,
        extra={"says": "must be the name of a time zone, such as Europe/Berlin or UTC"},
    ),
]
Day = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})?$",
        max_length=22,
        extra={"says": "must be a day (2026-12-24) or a range of days (2026-12-24..2027-01-06)"},
    ),
]
Text = Annotated[str, Meta(max_length=4096)]
Query = Annotated[str, Meta(min_length=1, max_length=4096)]
Selector = Annotated[str, Meta(min_length=1, max_length=1024)]
