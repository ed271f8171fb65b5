"""Telling hollow nodes what to do."""

import socket
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shipkeeper.sandbox.hollow.protocol import (
    AddNodes,
    Amend,
    HangPod,
    ListNodes,
    Reboot,
    RemoveNodes,
    Reply,
    Request,
    reply_decoder,
)
from shipkeeper.sandbox.hollow.values import HollowError, NodeGroup, NodeReport

# The agent itself gives up earlier and says why; this is for one that hangs.
_ANSWER_SECONDS = 900.0


class HollowFleet:
    """The hollow nodes of one cluster, through their agent's socket; every call blocks.

    HollowError is raised when the agent does not answer, or refuses.
    """

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    def is_up(self) -> bool:
        """Whether the agent answers."""
        try:
            self.nodes()
        except HollowError:
            return False
        return True

    def add_nodes(self, group: NodeGroup) -> tuple[str, ...]:
        """Register nodes and return their names once pods can be scheduled to them."""
        return self._ask(AddNodes(group=group)).names

    def remove_nodes(self, names: Iterable[str]) -> None:
        """Delete nodes with their leases and pods; returns when nothing is left of them."""
        self._ask(RemoveNodes(names=tuple(names)))

    def nodes(self) -> tuple[NodeReport, ...]:
        """Every hollow node, by name."""
        return self._ask(ListNodes()).nodes

    def stop_heartbeat(self, node: str) -> None:
        """Kill a node's kubelet: no lease, no status, its pods neither start nor finish."""
        self._ask(Amend(node=node, heartbeats=False))

    def resume_heartbeat(self, node: str) -> None:
        """Start a node's kubelet again."""
        self._ask(Amend(node=node, heartbeats=True))

    def hang_deletions(self, target: str) -> None:
        """Never finish a deletion, of a node's pods or of one pod (`namespace/name`)."""
        self._set_hanging(target, hangs=True)

    def release_deletions(self, target: str) -> None:
        """Finish the deletions that `hang_deletions` kept."""
        self._set_hanging(target, hangs=False)

    def set_ready_delay(self, node: str, seconds: float) -> None:
        """Let pods of a node get Ready so long after their start, unless they say otherwise."""
        self._ask(Amend(node=node, ready_after=seconds))

    def set_stop_delay(self, node: str, seconds: float) -> None:
        """Let deleted pods of a node stop after so long, unless they say otherwise."""
        self._ask(Amend(node=node, stops_after=seconds))

    def reboot(
        self,
        node: str,
        *,
        down_for: float,
        kernel_version: str | None = None,
        os_image: str | None = None,
        mark_not_ready: bool = True,
    ) -> None:
        """Let a node go dark for `down_for` seconds, then come back with a new bootID.

        Returns when it is dark. It comes back with the kernel and OS image given, says NotReady
        first unless that is unwanted, then Ready, and starts its pods' containers again.
        """
        self._ask(
            Reboot(
                node=node,
                down_for=down_for,
                kernel_version=kernel_version,
                os_image=os_image,
                mark_not_ready=mark_not_ready,
            )
        )

    def _set_hanging(self, target: str, *, hangs: bool) -> None:
        namespace, slash, name = target.partition("/")
        if slash:
            self._ask(HangPod(namespace=namespace, name=name, hangs=hangs))
        else:
            self._ask(Amend(node=target, hangs_deletions=hangs))

    def _ask(self, request: Request) -> Reply:
        try:
            answer = self._exchange(msgspec.json.encode(request) + b"\n")
        except OSError as error:
            raise HollowError(
                f"the agent of the hollow nodes does not answer at {self.socket_path}: {error}",
                reason="AgentUnreachable",
                hint="see whether the sandbox runs: shipkeeper sandbox status",
            ) from error
        reply = reply_decoder.decode(answer)
        if reply.problem:
            problem = reply.problem
            raise HollowError(problem.message, reason=problem.reason, hint=problem.hint)
        return reply

    def _exchange(self, line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self.socket_path))
            connection.sendall(line)
            with connection.makefile("rb") as answers:
                answer = answers.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionResetError("it hung up before it answered")
        return answer
