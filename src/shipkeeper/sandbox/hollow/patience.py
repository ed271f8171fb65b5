"""Waiting for many nodes, for as long as they make progress."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from shipkeeper.kube.reflector import Reflector
from shipkeeper.model.meta import KubeObject
from shipkeeper.sandbox.hollow.values import HollowError

# For one more node to get there; a busy machine may bring up a few a second.
_PATIENCE_SECONDS = 60.0

T = TypeVar("T", bound=KubeObject)


async def until_each(
    reflector: Reflector[T], names: Sequence[str], holds: Callable[[str], bool], *, otherwise: str
) -> None:
    """Wait until something has held for each name, asking again after each change.

    Names are looked at in their order, and not again once it held. HollowError, saying `otherwise`
    of the first that is left, when none got there for a minute.
    """
    left = list(reversed(names))
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS) as limit:

            def is_done(_: Mapping[str, T]) -> bool:
                while left and holds(left[-1]):
                    left.pop()
                    limit.reschedule(clock() + _PATIENCE_SECONDS)
                return not left

            await reflector.wait_for(is_done)
    except TimeoutError as error:
        raise HollowError(
            f"node {left[-1]} {otherwise} ({len(left)} of {len(names)} nodes are left)",
            reason="Timeout",
            hint="does the controller manager run? See: shipkeeper sandbox status",
        ) from error
