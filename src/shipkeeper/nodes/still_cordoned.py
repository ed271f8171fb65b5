"""Whether a node that is drained is still cordoned, when pods come to it."""

import asyncio

from shipkeeper.errors import BlockedError
from shipkeeper.kube.errors import (
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES

_AGAIN = 2.0  # seconds
# As the cluster's lock bears refusals: permissions, and whoever knows them, may be away for a time.
_PATIENCE = 60.0  # seconds


async def require_cordoned(reader: Reader, name: str, patience: float = _PATIENCE) -> None:
    """Who comes to a node that somebody gave back is meant to be there: BlockedError.

    BlockedError, too, if for so many seconds nobody may say whether it was given back.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        try:
            node = await reader.get(NODES, name)
        except (NotFoundError, UnreachableError):
            return
        except (ForbiddenError, UnauthorizedError) as error:
            if clock() >= deadline:
                raise _unknown(name, error) from error
            await asyncio.sleep(_AGAIN)
            continue
        if node.spec.unschedulable:
            return
        raise BlockedError(
            f"node {name} was uncordoned during its drain, and pods come to it",
            reason="NotCordoned",
            hint="see who uncordons it; then run the same command again",
        )


def _unknown(name: str, error: ForbiddenError | UnauthorizedError) -> BlockedError:
    return BlockedError(
        f"pods come to node {name}, and whether it is still cordoned may not be seen any more: "
        f"{error.message}",
        reason=error.reason,
        hint="see who took away the permission to get nodes; then run the same command again",
    )
