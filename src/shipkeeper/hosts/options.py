"""How to log in to hosts."""

from pathlib import Path

import msgspec

from shipkeeper.errors import UsageError

_PORTS = range(1, 65536)


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Where to log in, and as whom; `user` empty means the local user's name."""

    address: str
    user: str = ""
    port: int = 22

    @classmethod
    def parse(cls, text: str, user: str = "", port: int = 22) -> "Login":
        """Read `[user@]host[:port]`, an IPv6 address with a port in brackets.

        What the text does not tell is as given.
        """
        told, _, rest = text.rpartition("@")
        address, colon, number = rest, "", ""
        if rest.startswith("["):
            address, _, tail = rest.removeprefix("[").partition("]")
            colon, number = tail[:1], tail[1:]
        elif rest.count(":") == 1:
            address, colon, number = rest.partition(":")
        has_port = number.isdecimal() and int(number) in _PORTS
        if not address or colon not in ("", ":") or (colon and not has_port):
            raise UsageError(
                f"{text!r} is not a host to log in to",
                reason="BadLogin",
                hint="write it as user@host:port; user and port may be left out",
            )
        return cls(address=address, user=told or user, port=int(number or port))

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.address}:{self.port}"


class SshOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to log in to every host of a run; host keys are always checked against `known_hosts`.

    Without `identities` the usual files under ~/.ssh are tried. Keys with a passphrase work
    through the agent alone. Times are in seconds.
    """

    user: str = ""
    port: int = 22
    identities: tuple[Path, ...] = ()
    use_agent: bool = True
    jump: str = ""
    known_hosts: Path = msgspec.field(default_factory=lambda: Path("~/.ssh/known_hosts"))
    connect_timeout: float = 15.0
    keepalive: float = 10.0
    sudo: bool = False

    def login(self, address: str) -> Login:
        """Where `address` is logged in to."""
        return Login(address=address, user=self.user, port=self.port)
