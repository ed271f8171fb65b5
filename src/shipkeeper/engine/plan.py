"""Plans: an ordered graph of steps, shown by --dry-run and executed word for word by a run."""

from typing import Any

import msgspec

from shipkeeper.engine.verdict import Verdict, blocking


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One object that a step handles, such as a pod of a drain; `action` is what becomes of it.

    Items of one tier are handled when those of all lower tiers are done; all are of tier 0 when
    there is no such order, else tiers are numbered from 1.
    """

    key: str
    uid: str
    action: str
    tier: int = 0
    verdicts: tuple[Verdict, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One change: on what, under which precondition, to which effect, and the way back.

    `after` names the steps that must have succeeded before, or with `always` only have ended;
    `rollback` those that are undone when this one fails. `claims` is what the step takes of the
    plan's limits when it begins; it is given back by the step that names it in `releases`, or when
    it is undone.
    """

    id: str
    action: str
    target: str
    effect: str
    precondition: str = ""
    undo: str = ""
    after: tuple[str, ...] = ()
    rollback: tuple[str, ...] = ()
    always: bool = False
    claims: dict[str, int] = {}
    releases: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a procedure will do; `request` is what was asked for, enough to plan it again.

    `limits` is how much of each thing steps may claim at a time. Once more than `max_failed` steps
    failed (None for any number), no step that claims something is begun. `outlook` is what the
    procedure foretells of the run, in its own words.

    Raises ValueError if a step's id is not unique, or names a step that does not come before it.
    """

    procedure: str
    request: dict[str, Any]
    steps: tuple[Step, ...]
    verdicts: tuple[Verdict, ...] = ()
    limits: dict[str, int] = {}
    max_failed: int | None = None
    outlook: dict[str, Any] = {}

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for step in self.steps:
            unknown = {*step.after, *step.rollback, *step.releases} - seen
            if unknown:
                raise ValueError(f"step {step.id} follows {sorted(unknown)}, which come later")
            if step.id in seen:
                raise ValueError(f"two steps are named {step.id}")
            seen.add(step.id)

    @property
    def blockers(self) -> tuple[Verdict, ...]:
        """The verdicts that forbid a part of what was asked for."""
        return blocking(self.verdicts)

    def step(self, id_: str) -> Step:
        """The step of one id."""
        return next(step for step in self.steps if step.id == id_)

    def grounds_of(self, id_: str) -> frozenset[str]:
        """The ids of the steps that one rests on, directly or not."""
        grounds = set(self.step(id_).after)
        for step in reversed(self.steps):
            if step.id in grounds:
                grounds.update(step.after)
        return frozenset(grounds)
