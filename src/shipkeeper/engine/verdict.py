"""Verdicts: what stands in the way, why, since when, and what would clear it."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Effect(StrEnum):
    """What a verdict does to its target."""

    ALLOW = "Allow"
    WARN = "Warn"
    SKIP = "Skip"
    WAIT = "Wait"
    BLOCK = "Block"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A judgement on one target (`node/a`, `pod/ns/b`, `poddisruptionbudget/ns/c`)."""

    target: str
    effect: Effect
    reason: str
    message: str
    remedy: str = ""
    since: datetime | None = None

    @property
    def blocks(self) -> bool:
        """Whether it forbids going on."""
        return self.effect is Effect.BLOCK


def blocking(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The verdicts that forbid going on."""
    return tuple(verdict for verdict in verdicts if verdict.blocks)
