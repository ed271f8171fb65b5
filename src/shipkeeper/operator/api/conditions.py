"""Conditions of our objects: one of each type, with the moment of its last change. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shipkeeper.model.base import KubeStruct

Truth = Literal["True", "False", "Unknown"]


class StatusCondition(KubeStruct, frozen=True, kw_only=True):
    """One aspect of how an object stands, as `kubectl wait --for=condition=TYPE` reads it."""

    type: Annotated[str, Meta(description="What the condition is about.")]
    status: Annotated[Truth, Meta(description="Whether it holds.")]
    reason: Annotated[str, Meta(description="Why, in one CamelCase word.")]
    message: Annotated[str, Meta(description="Why, in a sentence.")] = ""
    last_transition_time: Annotated[
        datetime | None, Meta(description="Since when its status is this.")
    ] = None
    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that it was judged on.")
    ] = 0


def settled(
    before: Iterable[StatusCondition],
    now: Iterable[StatusCondition],
    generation: int,
    at: datetime,
) -> tuple[StatusCondition, ...]:
    """The conditions as they are now; one whose status is as before keeps its moment."""
    known = {each.type: each for each in before}
    moment = at.astimezone(UTC).replace(microsecond=0)

    def since(each: StatusCondition) -> datetime:
        old = known.get(each.type)
        is_same = old is not None and old.status == each.status
        return (old.last_transition_time if old and is_same else None) or moment

    return tuple(
        msgspec.structs.replace(
            each,
            message=each.message[:2048],
            last_transition_time=since(each),
            observed_generation=generation,
        )
        for each in now
    )
