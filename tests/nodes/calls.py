"""Calls to the API server and to hosts by what they are for, and a death at one of them."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from shipkeeper.hosts.host import Answer
from shipkeeper.hosts.ssh_session import SshSession
from shipkeeper.kube.connection import Connection

READ = "read"
EVENT = "event"
HOST = "host"
EVICT = "evict"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th call for one purpose, before it is sent or after it was answered."""

    purpose: str
    number: int
    is_answered: bool


class Calls:
    """Counts the calls of this process, notes each in a file, and dies at one of them.

    With `is_gentle`, other evictions that are under way then are answered first. The API server
    would drop one whose client is gone between the budget and the pod, and the budget would count
    it for two minutes more (DeletionTimeout in pkg/controller/disruption).
    """

    def __init__(self, notes: Path, dies_at: Call | None, *, is_gentle: bool) -> None:
        self._notes = notes
        self._dies_at = dies_at
        self._is_gentle = is_gentle
        self._is_dying = False
        self._made: Counter[str] = Counter()
        self._evicting = 0

    async def make(self, purpose: str) -> Call:
        """Count and note a call that is about to be sent."""
        while self._is_dying:
            await asyncio.sleep(1)
        self._made[purpose] += 1
        self._note(purpose)
        call = Call(purpose=purpose, number=self._made[purpose], is_answered=False)
        await self._perhaps_die(call)
        self._evicting += purpose == EVICT
        return call

    async def answered(self, call: Call) -> None:
        """Note that it was answered."""
        self._evicting -= call.purpose == EVICT
        await self._perhaps_die(msgspec.structs.replace(call, is_answered=True))

    def _note(self, purpose: str) -> None:
        with self._notes.open("a") as notes:
            notes.write(f"{purpose}\n")

    async def _perhaps_die(self, call: Call) -> None:
        if call != self._dies_at:
            return
        self._is_dying = True
        while self._is_gentle and self._evicting:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    def follow(self, connection: Connection) -> None:
        """Count the requests of a connection."""
        send, stream = connection.send, connection.stream

        async def send_counted(method: str, path: str, **details: Any) -> bytes:
            call = await self.make(purpose_of(method, path, details.get("body")))
            try:
                return await send(method, path, **details)
            finally:
                await self.answered(call)

        @asynccontextmanager
        async def stream_counted(
            path: str, query: Mapping[str, str], **details: Any
        ) -> AsyncGenerator[AsyncIterator[bytes]]:
            call = await self.make(READ)
            async with stream(path, query, **details) as chunks:
                await self.answered(call)
                yield chunks

        connection.send, connection.stream = send_counted, stream_counted

    def follow_hosts(self) -> None:
        """Count the programs that this process runs on hosts."""
        calls, execute = self, SshSession.execute

        async def execute_counted(
            self: SshSession, program: str, output: Callable[[bytes], None]
        ) -> Answer:
            call = await calls.make(HOST)
            answer = await execute(self, program, output)
            await calls.answered(call)
            return answer

        SshSession.execute = execute_counted


def purpose_of(method: str, path: str, body: Any) -> str:
    """What a request is for: `cordon`, `evict`, `take lock`…; an unknown write is an error."""
    resource = path.split("/")
    if method == "GET" or "selfsubjectaccessreviews" in resource:
        return READ
    if "events" in resource or resource[-1] == "status":
        # Told to others at best effort: Events, and conditions of nodes.
        return EVENT
    if resource[-1] == "eviction":
        return EVICT
    if "leases" in resource:
        return _purpose_of_lease(method, body)
    if "deployments" in resource and method == "PATCH":
        return "scale"
    if "daemonsets" in resource and method == "PATCH":
        return "hold kured off"
    if "nodes" in resource and method == "PATCH":
        return _purpose_of_node(body)
    raise AssertionError(f"nobody expects {method} {path}")


def _purpose_of_lease(method: str, body: Any) -> str:
    if method == "POST":
        return "make lock"
    spec = body["spec"]
    if "holderIdentity" not in spec:
        return "renew lock"
    return "take lock" if spec["holderIdentity"] else "release lock"


def _purpose_of_node(body: Any) -> str:
    if isinstance(body, dict):
        changes = cast("dict[str, Any]", body)
        return "cordon" if changes["spec"]["unschedulable"] else "uncordon"
    operations = cast("list[dict[str, Any]]", body)
    if any(each["path"] == "/spec/unschedulable" for each in operations):
        return "uncordon"
    return "steer" if operations[-1]["op"] == "add" else "unsteer"
