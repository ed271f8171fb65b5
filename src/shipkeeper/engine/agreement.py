"""What somebody agreed to when they saw a plan: a command that is told of it begins no other.

The console shows a plan, and a command makes its own before it begins. In between the cluster goes
on, so the command compares.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shipkeeper.errors import BlockedError

CHANGED = "the cluster has changed, and the plan with it; nothing was begun"
_AGREED = "SHIPKEEPER_AGREED_PLAN"
# Taken away at once: hooks, and whatever else this process starts, agreed to nothing.
_agreed = os.environ.pop(_AGREED, "")
_TOLD = 3  # lines of each kind
_LONGEST = 80  # characters of a line


class PlanChangedError(BlockedError):
    """The plan is by now another than the one that somebody agreed to."""

    def __init__(self, what: str = "") -> None:
        super().__init__(
            f"{CHANGED}: {what}" if what else CHANGED,
            reason="PlanChanged",
            hint="look at the new plan, and start that",
        )


class Gist(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody agrees to with a plan, in lines to be read; `digest` tells it from others."""

    digest: str
    lines: tuple[str, ...]


def gist(told: Any, lines: Iterable[str]) -> Gist:
    """The gist of a plan: everything that tells it from others, and the same in words.

    The order of the words tells nothing, nor does that of what has keys.
    """
    found = tuple(lines)
    encoded = msgspec.json.encode((told, sorted(found)), order="deterministic")
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    return Gist(digest=digest, lines=found)


def what_changed(before: Iterable[str], now: Iterable[str]) -> str:
    """The lines that went and came, the first of each; empty if none did."""
    old, new = list(dict.fromkeys(before)), list(dict.fromkeys(now))
    parts = (
        _some("it had", [line for line in old if line not in set(new)]),
        _some("it has", [line for line in new if line not in set(old)]),
    )
    return "; ".join(filter(None, parts))


def _some(word: str, lines: list[str]) -> str:
    if not lines:
        return ""
    more = f" and {len(lines) - _TOLD} more" if len(lines) > _TOLD else ""
    told = (line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in lines[:_TOLD])
    return f"{word} {', '.join(told)}{more}"


def environment(digest: str) -> Mapping[str, str]:
    """What lets a command begin the plan of this digest alone."""
    return {_AGREED: digest} if digest else {}


def require_agreed(found: Gist) -> None:
    """PlanChangedError if this process was told of another plan."""
    if _agreed and _agreed != found.digest:
        raise PlanChangedError


def require_no_older(run: str) -> None:
    """BlockedError if this process was told of a plan, and would go on with an older run's."""
    if _agreed:
        raise BlockedError(
            f"run {run} asked for the same and was interrupted; it would go on with its own plan",
            reason="RunUnfinished",
            hint=f"give that run up, and start this anew: shipkeeper abort {run}",
        )
