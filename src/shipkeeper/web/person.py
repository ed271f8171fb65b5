"""Somebody who uses the console: everything is done as them, and what they may not do is told."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.access import Permission, is_permitted
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.identity import Identity

_REMEMBERED = 30.0  # seconds that an answer about a permission is good for


class Missing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A permission that somebody does not have, and the arguments of `kubectl auth can-i`."""

    words: str
    can_i: str


class Person:
    """Whoever is logged in, with a token or a client certificate (DER).

    Both are empty for who runs the console and uses their kubeconfig.
    """

    def __init__(
        self,
        identity: Identity,
        connection: Connection,
        token: str = "",
        certificate: bytes = b"",
    ) -> None:
        self.identity = identity
        self.connection = connection
        self.token = token
        self.certificate = certificate
        self._asked: dict[Permission, tuple[float, bool]] = {}

    @property
    def is_local(self) -> bool:
        """Whether it is the user of this machine who started the console."""
        return not self.token and not self.certificate

    async def missing(self, needed: Iterable[Permission]) -> tuple[Missing, ...]:
        """Which of these permissions they lack now, or lacked seconds ago."""
        wanted = list(dict.fromkeys(needed))
        answers = await asyncio.gather(*map(self._may, wanted))
        return tuple(
            Missing(words=str(each.request), can_i=each.request.permission)
            for each, is_allowed in zip(wanted, answers, strict=True)
            if not is_allowed
        )

    async def _may(self, permission: Permission) -> bool:
        now = asyncio.get_running_loop().time()
        at, answer = self._asked.get(permission, (-_REMEMBERED, False))
        if now - at >= _REMEMBERED:
            # Much of what is shown here is no request of theirs: nobody else would refuse it.
            answer = await is_permitted(self.connection, permission, if_not_told=self.is_local)
            self._asked[permission] = (now, answer)
        return answer

    async def close(self) -> None:
        """Let go of their connection, if it is not the console's own."""
        if not self.is_local:
            with suppress(ShipkeeperError):
                await self.connection.close()
