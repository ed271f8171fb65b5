"""Reviewing the plan of a run: the world changes while it is carried out, and the plan with it.

What has begun is never taken back by a review; only what is still to come may be planned anew.
"""

import asyncio
from collections.abc import Callable, Set
from typing import Protocol

import msgspec

from shipkeeper.engine.plan import Plan


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A plan made anew, and what changed against the one before, a sentence each."""

    plan: Plan
    changes: tuple[str, ...]


class Reviewer(Protocol):
    """Who knows when the world has changed, and what that means for a plan."""

    @property
    def has_seen_change(self) -> bool:
        """Whether nothing should begin before the plan was looked at again."""
        ...

    async def due(self) -> None:
        """Return when it is time to look at the plan again."""
        ...

    async def review(self, plan: Plan, begun: Set[str]) -> Revision | None:
        """Plan anew what has not begun; None if nothing that matters changed.

        `begun` holds the ids of the steps that have begun. An error of the way to the world is no
        change: None, and due again later.
        """
        ...


class Review:
    """The reviews of one run, one after the other, each beside the steps that go on."""

    def __init__(self, reviewer: Reviewer | None) -> None:
        self._reviewer = reviewer
        self._due: asyncio.Task[None] | None = None
        self._review: asyncio.Task[Revision | None] | None = None
        self._begun: Set[str] = frozenset()
        self._must_hold = False

    @property
    def holds_back(self) -> bool:
        """Whether nothing new is begun before a review has ended."""
        return self._must_hold or (self._reviewer is not None and self._reviewer.has_seen_change)

    def waits(self) -> tuple["asyncio.Task[Revision | None] | asyncio.Task[None]", ...]:
        """What the run should be woken by; nothing without a reviewer."""
        if self._reviewer is None:
            return ()
        if self._review is not None:
            return (self._review,)
        self._due = self._due or asyncio.create_task(self._reviewer.due())
        return (self._due,)

    def advance(self, plan: Plan, begun: Callable[[], Set[str]]) -> Revision | None:
        """Begin a review that is due; the revision of one that has ended, if it is still valid.

        A revision is of no use once other steps have begun meanwhile: it is made again, and
        nothing new is begun until it is there.
        """
        found = self._take_ended()
        if found is not None and self._begun == begun():
            self._must_hold = False
            return found
        if self._reviewer is not None and (found is not None or self._is_due()):
            # The reviewer forgets the change when it begins to look, and we know of it later.
            self._must_hold = found is not None or self._reviewer.has_seen_change
            self._begun = begun()
            self._review = asyncio.create_task(self._reviewer.review(plan, self._begun))
        return None

    def _is_due(self) -> bool:
        if self._due is None or not self._due.done():
            return False
        due, self._due = self._due, None
        due.result()
        return True

    def _take_ended(self) -> Revision | None:
        if self._review is None or not self._review.done():
            return None
        review, self._review = self._review, None
        self._must_hold = False
        return review.result()

    async def close(self) -> None:
        """Stop looking."""
        tasks = [each for each in (self._due, self._review) if each is not None]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
