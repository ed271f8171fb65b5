"""Whether the kubelet of a drained node can end its pods: of a silent one nothing is awaited."""

import asyncio
from datetime import UTC, datetime, timedelta

from shipkeeper.errors import BlockedError
from shipkeeper.kube.errors import (
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.departure import overdue
from shipkeeper.nodes.plan import unreachable

_ASK_AGAIN = 10.0  # seconds between questions
# As the cluster's lock bears refusals: permissions, and whoever knows them, may be away for a time.
_PATIENCE = timedelta(seconds=60)


class Kubelet:
    """What is known of the kubelet of one node; it is asked for now and then."""

    def __init__(self, reader: Reader, node: str) -> None:
        self._reader = reader
        self._node = node
        self._asked_at = 0.0
        self._refusal: ForbiddenError | None = None
        self._refused_since: datetime | None = None

    def doubt(self) -> None:
        """Have it asked for anew the next time."""
        self._asked_at = 0.0

    async def require_reachable(self) -> None:
        """Pods on a node whose kubelet is silent never end: BlockedError instead of waiting."""
        now = asyncio.get_running_loop().time()
        if self._asked_at and now - self._asked_at < _ASK_AGAIN:
            return
        self._asked_at = now
        try:
            node = await self._reader.get(NODES, self._node)
        except ForbiddenError as error:
            self._refusal = error
            self._refused_since = self._refused_since or datetime.now(UTC)
            return
        except (NotFoundError, UnreachableError, UnauthorizedError):
            # A node that is gone takes its pods along; an API server that is gone, or knows nobody,
            # comes back, or the lock is lost and the run ends.
            return
        self._refusal = self._refused_since = None
        if not node.is_reachable:
            verdict = unreachable(node)
            self.doubt()
            raise BlockedError(
                f"{verdict.target}: {verdict.message}", reason=verdict.reason, hint=verdict.remedy
            )

    def awaits(self, pod: Pod) -> str:
        """Why a pod that is overdue may still be there; empty while it is in time.

        BlockedError once it is overdue for long, nobody but the kubelet can end it, and whether
        that is silent could not be seen for as long.
        """
        now = datetime.now(UTC)
        why, due = overdue(pod, now), pod.metadata.deletion_timestamp
        if not why or self._refusal is None:
            return why
        unseen = f"{why}; whether its kubelet reports may not be seen: {self._refusal.message}"
        since = max(due or now, self._refused_since or now)
        if pod.metadata.finalizers or now - since < _PATIENCE:
            return unseen
        raise BlockedError(
            unseen,
            reason=self._refusal.reason,
            hint=f"see who took away the permission to get nodes, or look at the kubelet of "
            f"{self._node}; then run the same command again",
        )
